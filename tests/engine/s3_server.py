#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server of S3 that fails in one way each: the name of a bucket says in which. It prints its port. With
the files of a certificate and its key as arguments it speaks TLS.

    plain        it does not fail
    lost-put     the first PUT of a name is done, and the connection is closed without an answer
    lost-delete  likewise the first DELETE
    busy         the first two tries of each request are answered 503
    conflict     the first conditional PUT of a name is answered 409
    cut          the first GET of a name ends in the middle of its bytes
    no-range     the header Range is ignored
    pretends     the header If-None-Match is ignored
    short-page   a list says that it has one name more than it has
    same-page    a list goes on for ever with the same page
    stalls       a GET of a name is never answered
    no-complete  the end of an upload is answered 200, with an error in the text
    bad-part     the third part of an upload is refused
    full         a PUT is answered 507
    gone         there is no such bucket
    expires      keys that begin with IDOLD are out of date (400) from the third request on
    ahead        its clock is 1,000 seconds ahead, and it refuses signatures of the right time
    later        its clock is 1,000 seconds ahead
    ageless      it does not say when an object was put
    wordless     a name that is missing is answered 404, without a text

A GET of the name "ended" lists the uploads that were ended, "open" those that are open,
"begun" how many began. The upload
"old" of the name PREFIX/objects/left was begun two days ago."""
import datetime
import hashlib
import http.server
import re
import ssl
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

LOCK = threading.Lock()
BUCKETS = {}  # name: {key: bytes}
SEEN = set()  # (bucket, method, key): the fault of this request is over
TRIES = {}
UPLOADS = {}  # id: (bucket, key, {number: bytes}, time)
ENDED = []
BEGUN = []


def first(*what):
    """Is it the first time that this is asked?"""
    with LOCK:
        new = what not in SEEN
        SEEN.add(what)
        return new


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        ahead = 1000 if self.path.startswith(('/ahead', '/later')) else 0
        return super().date_time_string((timestamp or time.time()) + ahead)

    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        self.send_header('x-amz-request-id', '1')
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        if 'Content_Length' not in headers:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def error(self, status, code):
        self.answer(status, f'<Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode())

    def hang_up(self):
        self.close_connection = True

    def list_page(self, bucket, query):
        keys = sorted(k for k in BUCKETS.get(bucket, {}) if k.startswith(query['prefix'][0] if 'prefix' in query else ''))
        token = query.get('continuation-token', [''])[0]
        most = int(query.get('max-keys', ['1000'])[0])
        rest = [k for k in keys if k > token]
        page, more = rest[:most], len(rest) > most
        if bucket == 'same-page':
            page, more = keys[:1], bool(keys)
        text = ''.join(f'<Contents><Key>{escape(urllib.parse.quote(k))}</Key>'
                       f'<Size>{len(BUCKETS[bucket][k])}</Size></Contents>' for k in page)
        count = len(page) + (bucket == 'short-page' and most > 1)
        self.answer(200, f'<ListBucketResult><EncodingType>url</EncodingType><KeyCount>{count}</KeyCount>{text}'
                         f'<IsTruncated>{"true" if more else "false"}</IsTruncated>'
                         f'<NextContinuationToken>{escape(page[-1]) if more else ""}</NextContinuationToken>'
                         '</ListBucketResult>'.encode())

    def list_uploads(self, bucket, query):
        prefix = query.get('prefix', [''])[0]
        old = (datetime.datetime.utcnow() - datetime.timedelta(days=2)).strftime('%Y-%m-%dT%H:%M:%S.000Z')
        new = datetime.datetime.utcnow().strftime('%Y-%m-%dT%H:%M:%S.000Z')
        text = f'<Upload><Key>{prefix}objects/left</Key><UploadId>old</UploadId><Initiated>{old}</Initiated></Upload>'
        text += f'<Upload><Key>{prefix}objects/left</Key><UploadId>new</UploadId><Initiated>{new}</Initiated></Upload>'
        text += f'<Upload><Key>{prefix}elsewhere</Key><UploadId>other</UploadId><Initiated>{old}</Initiated></Upload>'
        self.answer(200, f'<ListMultipartUploadsResult>{text}</ListMultipartUploadsResult>'.encode())

    def read(self, bucket, key):
        if key.endswith('/begun'):
            return self.answer(200, str(len(BEGUN)).encode())
        if key.endswith('/ended') or key.endswith('/open'):
            names = ENDED if key.endswith('/ended') else list(UPLOADS)
            return self.answer(200, ' '.join(names).encode())
        if bucket == 'stalls' and self.command == 'GET':
            time.sleep(60)
        data = BUCKETS.get(bucket, {}).get(key)
        if data is None:
            return self.answer(404) if bucket == 'wordless' else self.error(404, 'NoSuchKey')
        span = re.match(r'bytes=(\d+)-(\d+)', self.headers.get('Range', ''))
        # All was put an hour ago, by the clock of this server.
        headers = {'Last_Modified': self.date_time_string(time.time() - 3600)} if bucket != 'ageless' else {}
        status, total = 200, len(data)
        if span and bucket != 'no-range':
            begin, end = int(span[1]), int(span[2])
            if begin >= total:
                return self.error(416, 'InvalidRange')
            data = data[begin:end + 1]
            headers['Content_Range'], status = f'bytes {begin}-{begin + len(data) - 1}/{total}', 206
        if bucket == 'cut' and self.command == 'GET' and first(bucket, 'GET', key):
            headers['Content_Length'] = str(len(data))
            data = data[:len(data) // 2]
            self.hang_up()
        return self.answer(status, data, **headers)

    def write(self, bucket, key, body):
        if bucket == 'full':
            return self.error(507, 'InsufficientStorage')
        if_absent = self.headers.get('If-None-Match') == '*' and bucket != 'pretends'
        if if_absent and bucket == 'conflict' and first(bucket, 'PUT', key):
            return self.error(409, 'ConditionalRequestConflict')
        with LOCK:
            names = BUCKETS.setdefault(bucket, {})
            taken = if_absent and key in names
            if not taken:
                names[key] = body
        if taken:
            return self.error(412, 'PreconditionFailed')
        if bucket == 'lost-put' and first(bucket, 'PUT', key):
            return self.hang_up()
        return self.answer(200, ETag='"1"')

    def part(self, bucket, query, body):
        upload = UPLOADS.get(query['uploadId'][0])
        if not upload or (bucket == 'bad-part' and query['partNumber'][0] == '3'):
            return self.error(400, 'InvalidPart')
        upload[2][int(query['partNumber'][0])] = body
        return self.answer(200, ETag='"p"')

    def complete(self, bucket, key, query):
        if bucket == 'no-complete':
            return self.error(200, 'InternalError')
        upload = UPLOADS.pop(query['uploadId'][0], None)
        if not upload:
            return self.error(404, 'NoSuchUpload')
        BUCKETS.setdefault(bucket, {})[key] = b''.join(upload[2][n] for n in sorted(upload[2]))
        return self.answer(200, b'<CompleteMultipartUploadResult/>')

    def remove(self, bucket, key, query):
        if 'uploadId' in query:
            UPLOADS.pop(query['uploadId'][0], None)
            ENDED.append(query['uploadId'][0] if query['uploadId'][0] in ('old', 'new', 'other') else 'own')
            return self.answer(204)
        BUCKETS.get(bucket, {}).pop(key, None)
        if bucket == 'lost-delete' and first(bucket, 'DELETE', key):
            return self.hang_up()
        return self.answer(204)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        url = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(url.path)[1:].partition('/')
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        if hashlib.sha256(body).hexdigest() != self.headers.get('x-amz-content-sha256'):
            return self.error(400, 'XAmzContentSHA256Mismatch')
        if not self.headers.get('Authorization', '').startswith('AWS4-HMAC-SHA256 Credential=ID'):
            return self.error(403, 'InvalidAccessKeyId')
        if bucket == 'expires' and 'Credential=IDOLD' in self.headers.get('Authorization', ''):
            with LOCK:
                TRIES['old'] = TRIES.get('old', 0) + 1
            if TRIES['old'] > 2:
                return self.error(400, 'ExpiredToken')
        if bucket == 'ahead':
            return self.error(403, 'RequestTimeTooSkewed')
        if bucket == 'gone':
            return self.error(404, 'NoSuchBucket')
        what = (self.command, self.path)
        with LOCK:
            TRIES[what] = TRIES.get(what, 0) + 1
        if bucket == 'busy' and TRIES[what] <= 2:
            return self.error(503, 'SlowDown')
        if not key:
            return self.list_uploads(bucket, query) if 'uploads' in query else self.list_page(bucket, query)
        if self.command == 'PUT':
            return self.part(bucket, query, body) if 'uploadId' in query else self.write(bucket, key, body)
        if self.command == 'POST' and 'uploads' in query:
            with LOCK:
                upload = f'own{len(UPLOADS)}'
                UPLOADS[upload] = (bucket, key, {}, 0)
                BEGUN.append(upload)
            return self.answer(200, f'<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>'
                                    '</InitiateMultipartUploadResult>'.encode())
        if self.command == 'POST':
            return self.complete(bucket, key, query)
        return self.remove(bucket, key, query) if self.command == 'DELETE' else self.read(bucket, key)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any


def main():
    http.server.ThreadingHTTPServer.daemon_threads = True
    http.server.ThreadingHTTPServer.request_queue_size = 64
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
    if len(sys.argv) > 2:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


main()
