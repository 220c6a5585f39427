"""The rivals a node is measured beside: nginx serving one static file, and docker-registry looking up tags.

Both run on the same machine in the same run, with settings that favour them: nginx keeps its file open and logs
nothing, docker-registry logs nothing and caches in memory.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

import httpx
from blake3 import blake3

from bench.installing import find_tool
from bench.processes import Process, accepts, free_port

_NGINX: Final = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  open_file_cache max=16;
  types {{ application/json json; }}
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_certificate {cert};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl http2;
    root {folder}/www;
    location / {{ try_files /answer.json =404; }}
  }}
}}
"""

_REGISTRY: Final = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{cache: {{blobdescriptor: inmemory}}, filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Nginx:
    """nginx with one worker, whose every path is one file of ``body``; over TLS it speaks HTTP/1.1 and HTTP/2."""

    def __init__(self, folder: Path, body: bytes, cert: Path, key: Path) -> None:
        tool = find_tool("nginx")
        self.version = tool.version("-v")
        plain, tls = free_port(), free_port()
        self.url, self.tls_url = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}"
        (folder / "www").mkdir(parents=True, exist_ok=True)
        (folder / "www" / "answer.json").write_bytes(body)
        for path in (folder, folder / "www"):
            path.chmod(0o755)  # started by root, its worker is somebody else
        config = folder / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, cert=cert, key=key, plain=plain, tls=tls))
        self.process = Process(
            [tool.path, "-p", folder, "-e", folder / "nginx.log", "-c", config], folder / "log", tool.env
        )
        self.process.wait_until(lambda: accepts(plain) and accepts(tls))


class DockerRegistry:
    """docker-registry with its filesystem driver, holding one image under many tags."""

    REPOSITORY: Final = "bench/service"

    def __init__(self, folder: Path, tags: int) -> None:
        tool = find_tool("docker-registry")
        self.version = tool.version("--version")
        self.tags = tags
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.yml"
        config.write_text(_REGISTRY.format(folder=folder, port=port))
        self.process = Process([tool.path, "serve", config], folder / "log", tool.env)
        self.process.wait_until(lambda: accepts(port))
        self._push(tags)

    @property
    def manifest(self) -> bytes:
        """The image manifest every tag names."""
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": self.media_type,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": len(_CONFIG),
                    "digest": _digest(_CONFIG),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(_LAYER),
                        "digest": _digest(_LAYER),
                    }
                ],
            }
        ).encode()

    media_type: Final = "application/vnd.docker.distribution.manifest.v2+json"

    def path(self, tag: str) -> str:
        """The path of a tag's manifest."""
        return f"/v2/{self.REPOSITORY}/manifests/{tag}"

    def _push(self, tags: int) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            for blob in (_CONFIG, _LAYER):
                begun = client.post(f"/v2/{self.REPOSITORY}/blobs/uploads/").raise_for_status()
                place = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": _digest(blob)})
                client.put(place, content=blob).raise_for_status()
            for tag in range(tags):
                pushed = client.put(
                    self.path(f"v{tag}"), content=self.manifest, headers={"Content-Type": self.media_type}
                )
                pushed.raise_for_status()


_CONFIG: Final = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
_LAYER: Final = blake3(b"layer").digest(length=4096)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
