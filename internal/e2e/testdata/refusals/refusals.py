"""Sends 40 MB where they are refused, ten times each, whole and in chunks, and hears every refusal."""
import os
import sys

import httpx

url, token = os.environ["BERRY_URL"], os.environ["BERRY_TOKEN"]
piece = b"x" * (1 << 20)
failed = 0
for path, key, want in (("/v1/chat/completions", token, 413), ("/v1/chat/completions", "berry-nobody-0123456789", 401), ("/v1/nothing", token, 404)):
    for chunked in (False, True):
        got = []
        for _ in range(10):
            content = (piece for _ in range(40)) if chunked else piece * 40
            try:
                with httpx.Client(timeout=60) as client:
                    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
                    got.append(client.post(url + path, headers=headers, content=content).status_code)
            except httpx.HTTPError as e:
                got.append(repr(e))
        if got != [want] * 10:
            print(path, "chunked" if chunked else "whole", got, "want", want)
            failed = 1
sys.exit(failed)
