"""A Hub on loopback, as far as pushing, loading and collecting repositories goes, that fails when a test says so.

huggingface_hub, datasets and transformers talk to it through `HF_ENDPOINT`, without the Xet protocol
(`HF_HUB_DISABLE_XET=1`).
"""

import base64
import fnmatch
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from aiohttp import web

from tests.servers.background import running

USER = "ada"
TOKEN = "hf_" + "t0pS3cretT0pS3cretT0pS3cretT0pS3c"
READ_TOKEN = "hf_" + "r3adOnlyR3adOnlyR3adOnlyR3adOnlyR"
DATE = "2026-11-21T00:00:00.000Z"
LFS_PATTERNS = ("*.parquet", "*.safetensors", "*.npz", "*.png")
_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}


@dataclass(frozen=True)
class Blob:
    """Content of a file: regular ones in `content`, LFS ones by `sha256` in the server's folder."""

    oid: str
    size: int
    content: bytes | None = None
    sha256: str | None = None


@dataclass
class Repo:
    """A repository: its commits in order, each a whole tree; its tags; who sees it."""

    private: bool
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    def commit(self, title: str, tree: dict[str, Blob]) -> str:
        oid = hashlib.sha1(f"{id(self)}{len(self.commits)}{title}".encode()).hexdigest()
        self.commits[oid], self.titles[oid] = tree, title
        return oid

    def find(self, revision: str) -> str | None:
        named = {"main": self.head, "refs/heads/main": self.head, **self.tags}
        full = [oid for oid in self.commits if oid.startswith(revision)] if len(revision) >= 7 else []
        return named.get(revision) or (full[0] if full else None)


def regular(content: bytes) -> Blob:
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return Blob(oid, len(content), content)


class HubServer:
    """Repositories and collections of one user.

    Args:
        folder: Where large files are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.failures: dict[str, list[int | str]] = {}
        # Done once, right before a step, or a step on a repository, is carried out: "commit", "commit ada/student".
        self.before: dict[str, Callable[[], None]] = {}

    def clear(self) -> None:
        """Forgets everything."""
        for kept in (self.repos, self.collections, self.requests, self.bodies, self.failures, self.before):
            kept.clear()
        for path in self.folder.iterdir():
            path.unlink()

    def fail(self, step: str, *ways: int | str) -> None:
        """Lets the next requests of a step fail, one for each way.

        Args:
            step: Name of a handler below without `_`, such as `"commit"`.
            ways: A status, `"reset"`, or `"lost"`: reset after the request was carried out.
        """
        self.failures.setdefault(step, []).extend(ways)

    def write(self, kind: str, repo: str, path: str, content: bytes) -> str:
        """Someone else's commit on main."""
        found = self.repos[kind, repo]
        return found.commit(f"Edit {path}", {**found.commits[found.head], path: regular(content)})

    def create(self, kind: str, repo: str, *, private: bool = True) -> Repo:
        """A new repository as the Hub makes it."""
        new = self.repos[kind, repo] = Repo(private)
        new.commit("initial commit", {".gitattributes": regular(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")})
        return new

    def read(self, kind: str, repo: str, path: str, revision: str = "main") -> bytes:
        """Content of a file."""
        found = self.repos[kind, repo]
        blob = found.commits[found.find(revision) or ""][path]
        return blob.content if blob.content is not None else (self.folder / str(blob.sha256)).read_bytes()

    def uploaded(self) -> Iterator[bytes]:
        """Every byte that clients sent in bodies and files."""
        yield from self.bodies
        yield from (path.read_bytes() for path in self.folder.iterdir())

    # ---- HTTP ----

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._troubles], client_max_size=2**31)
        api, git = (
            "/api/{kinds:models|datasets|spaces}/{repo:[^/]+/[^/]+}",
            "/{prefix:(?:datasets/|spaces/)?}{repo:[^/]+/[^/]+}",
        )
        for method, path, handler in [
            ("GET", "/api/whoami-v2", self._whoami),
            ("POST", "/api/repos/create", self._create),
            ("POST", "/api/validate-yaml", self._validate),
            ("POST", "/api/collections", self._collection),
            ("GET", "/api/collections/{slug:.+}", self._read_collection),
            ("POST", "/api/collections/{slug:[^/]+/[^/]+}/items", self._item),
            ("GET", api, self._info),
            ("GET", f"{api}/revision/{{revision}}", self._info),
            ("GET", f"{api}/refs", self._refs),
            ("POST", f"{api}/preupload/{{revision}}", self._preupload),
            ("POST", f"{api}/commit/{{revision}}", self._commit),
            ("POST", f"{api}/tag/{{revision}}", self._tag),
            ("DELETE", f"{api}/tag/{{tag}}", self._untag),
            ("GET", f"{api}/tree/{{revision}}{{path:.*}}", self._tree),
            ("POST", f"{api}/paths-info/{{revision}}", self._paths_info),
            ("POST", f"{git}.git/info/lfs/objects/batch", self._batch),
            ("PUT", "/lfs/{oid}", self._put),
            ("POST", "/lfs/verify", self._verify),
            ("GET", f"{git}/resolve/{{revision}}/{{path:.+}}", self._resolve),
            ("HEAD", f"{git}/resolve/{{revision}}/{{path:.+}}", self._resolve),
        ]:
            app.router.add_route(method, path, handler)
        return app

    @web.middleware
    async def _troubles(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        step = handler.__name__.lstrip("_")
        if step != "put" and request.can_read_body:
            self.bodies.append(await request.read())
        failing = self.failures.get(step)
        way = failing.pop(0) if failing else None
        if isinstance(way, int):
            return web.json_response({"error": "try later"}, status=way, headers={"Retry-After": "0"})
        if way == "reset":
            return await self._hang_up(request)
        for moment in (step, f"{step} {request.match_info.get('repo')}"):
            if moment in self.before:
                self.before.pop(moment)()
        if request.headers.get("Authorization") not in (None, f"Bearer {TOKEN}", f"Bearer {READ_TOKEN}"):
            return web.json_response({"error": "Invalid credentials"}, status=401)
        response = await handler(request)
        return await self._hang_up(request) if way == "lost" else response

    async def _hang_up(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def _may_write(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repo(self, request: web.Request) -> tuple[str, Repo]:
        info = request.match_info
        kind = _TYPES[info["kinds"]] if "kinds" in info else (info.get("prefix") or "models/").rstrip("/")[:-1]
        repo = self.repos.get((kind, info["repo"]))
        if repo is None or (repo.private and "Authorization" not in request.headers):
            raise _error(404 if "Authorization" in request.headers else 401, "RepoNotFound", "Repository not found")
        return kind, repo

    def _revision(self, request: web.Request, repo: Repo) -> str:
        oid = repo.find(unquote(request.match_info.get("revision", "main")))
        if oid is None:
            raise _error(404, "RevisionNotFound", "Invalid rev id")
        return oid

    async def _whoami(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            return web.json_response({"error": "Invalid username or password."}, status=401)
        role = "write" if self._may_write(request) else "read"
        orgs = [{"type": "org", "name": "lab"}]
        return web.json_response(
            {"type": "user", "name": USER, "orgs": orgs, "auth": {"accessToken": {"role": role, "displayName": "t"}}}
        )

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        kind, name = body.get("type") or "model", f"{body.get('organization') or USER}/{body['name']}"
        url = f"{self.url}/{'' if kind == 'model' else kind + 's/'}{name}"
        if (kind, name) in self.repos:
            return web.json_response({"error": "You already created this repo", "url": url}, status=409)
        if not self._may_write(request) or name.split("/")[0] not in (USER, "lab"):
            raise _error(403, None, f"You don't have the rights to create a {kind} under this namespace")
        self.create(kind, name, private=body.get("private", body.get("visibility") == "private"))
        return web.json_response({"url": url, "name": name})

    async def _validate(self, request: web.Request) -> web.Response:
        head = re.match(r"---\n(.*?)\n---\n", (await request.json())["content"], re.S)
        try:
            values = yaml.safe_load(head.group(1)) if head else None
        except yaml.YAMLError as error:
            return web.json_response({"errors": [{"message": str(error)}], "warnings": []}, status=400)
        errors = _metadata_errors(values)
        return web.json_response({"errors": errors, "warnings": []}, status=400 if errors else 200)

    async def _info(self, request: web.Request) -> web.Response:
        _, repo = self._repo(request)
        oid = self._revision(request, repo)
        files = [{"rfilename": path} for path in sorted(repo.commits[oid])]
        name = request.match_info["repo"]
        values = {"_id": "0", "id": name, "sha": oid, "private": repo.private, "siblings": files, "tags": []}
        return web.json_response({**values, "lastModified": DATE, "downloads": 0, "gated": False, "disabled": False})

    async def _refs(self, request: web.Request) -> web.Response:
        _, repo = self._repo(request)
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repo.tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head}
        return web.json_response({"branches": [main], "tags": tags, "converts": [], "pullRequests": []})

    async def _preupload(self, request: web.Request) -> web.Response:
        _, repo = self._repo(request)
        if not self._may_write(request):
            raise _error(403, None, "Forbidden: you need write access")
        tree = repo.commits[self._revision(request, repo)]
        files = []
        for file in (await request.json())["files"]:
            lfs = any(fnmatch.fnmatch(file["path"], pattern) for pattern in LFS_PATTERNS) or file["size"] > 10**7
            oid = tree[file["path"]].oid if file["path"] in tree else None
            mode = "lfs" if lfs else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return web.json_response({"files": files})

    async def _batch(self, request: web.Request) -> web.Response:
        objects = []
        for item in (await request.json())["objects"]:
            actions = {
                "upload": {"href": f"{self.url}/lfs/{item['oid']}"},
                "verify": {"href": f"{self.url}/lfs/verify"},
            }
            objects.append(item if (self.folder / item["oid"]).exists() else {**item, "actions": actions})
        return web.json_response({"objects": objects, "transfer": "basic"})

    async def _put(self, request: web.Request) -> web.Response:
        digest, partial = hashlib.sha256(), self.folder / f"{request.match_info['oid']}.partial"
        with partial.open("wb") as file:
            async for chunk in request.content.iter_chunked(2**20):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != request.match_info["oid"]:
            partial.unlink()
            return web.Response(status=400)
        partial.rename(self.folder / digest.hexdigest())
        return web.Response()

    async def _verify(self, request: web.Request) -> web.Response:
        body = await request.json()
        found = self.folder / body["oid"]
        return web.Response(status=200 if found.exists() and found.stat().st_size == body["size"] else 404)

    async def _commit(self, request: web.Request) -> web.Response:
        kind, repo = self._repo(request)
        if not self._may_write(request):
            raise _error(403, None, "Forbidden: you need write access")
        lines = [json.loads(line) for line in (await request.read()).splitlines()]
        header = lines[0]["value"]
        parent = header.get("parentCommit")
        if parent is not None and not repo.head.startswith(parent):
            raise _error(412, None, "A commit has happened since. Please refresh and try again.")
        tree = dict(repo.commits[repo.head])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = regular(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if not (self.folder / value["oid"]).exists():
                    raise _error(400, None, f"LFS object {value['oid']} is missing")
                pointer = (
                    f"version https://git-lfs.github.com/spec/v1\noid sha256:{value['oid']}\nsize {value['size']}\n"
                )
                oid = regular(pointer.encode()).oid
                tree[value["path"]] = Blob(oid, value["size"], sha256=value["oid"])
            elif line["key"] == "deletedFile":
                del tree[value["path"]]
        oid = repo.commit(header["summary"], tree)
        prefix = "" if kind == "model" else f"{kind}s/"
        url = f"{self.url}/{prefix}{request.match_info['repo']}/commit/{oid}"
        return web.json_response({"success": True, "commitUrl": url, "commitOid": oid})

    async def _tag(self, request: web.Request) -> web.Response:
        _, repo = self._repo(request)
        name = (await request.json())["tag"]
        if name in repo.tags:
            raise _error(409, None, "Tag reference exists already")
        repo.tags[name] = self._revision(request, repo)
        return web.json_response({})

    async def _untag(self, request: web.Request) -> web.Response:
        _, repo = self._repo(request)
        del repo.tags[unquote(request.match_info["tag"])]
        return web.json_response({})

    async def _tree(self, request: web.Request) -> web.Response:
        _, repo = self._repo(request)
        tree = repo.commits[self._revision(request, repo)]
        folder = unquote(request.match_info["path"]).strip("/")
        prefix = f"{folder}/" if folder else ""
        inside = {path: blob for path, blob in tree.items() if path.startswith(prefix)}
        if folder and not inside:
            raise _error(404, "EntryNotFound", f"{folder} does not exist on the revision")
        deep = request.query.get("recursive", "").lower() in ("true", "1")
        files = [_file(path, blob) for path, blob in inside.items() if deep or "/" not in path[len(prefix) :]]
        folders = {prefix + str(parent) for path in inside for parent in _folders(path[len(prefix) :], deep)}
        listed = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in sorted(folders)]
        return web.json_response([*listed, *files])

    async def _paths_info(self, request: web.Request) -> web.Response:
        _, repo = self._repo(request)
        tree = repo.commits[self._revision(request, repo)]
        body = await request.post() if "json" not in request.content_type else await request.json()
        paths = body.getall("paths", []) if hasattr(body, "getall") else body["paths"]
        found = [_file(path, tree[path]) for path in paths if path in tree]
        folders = [path for path in paths if any(name.startswith(f"{path}/") for name in tree)]
        listed = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]
        return web.json_response([*found, *listed])

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        _, repo = self._repo(request)
        oid = self._revision(request, repo)
        blob = repo.commits[oid].get(unquote(request.match_info["path"]))
        if blob is None:
            raise _error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": oid})
        headers = {"X-Repo-Commit": oid, "ETag": f'"{blob.sha256 or blob.oid}"'}
        if blob.sha256 is not None:
            headers["X-Linked-Size"], headers["X-Linked-ETag"] = str(blob.size), f'"{blob.sha256}"'
            return web.FileResponse(self.folder / blob.sha256, headers=headers)
        content, status = blob.content or b"", 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        return web.Response(body=content, status=status, headers=headers)

    async def _collection(self, request: web.Request) -> web.Response:
        body = await request.json()
        slug = f"{body['namespace']}/{re.sub(r'[^a-z0-9]+', '-', body['title'].lower())}-{'0' * 24}"
        if slug in self.collections:
            return web.json_response({"error": "exists", "slug": slug}, status=409)
        values = {"slug": slug, "title": body["title"], "private": body["private"], "items": [], "lastUpdated": DATE}
        self.collections[slug] = {**values, "owner": {"name": USER}, "position": 0, "theme": "orange", "upvotes": 0}
        return web.json_response(self.collections[slug])

    async def _read_collection(self, request: web.Request) -> web.Response:
        return web.json_response(self.collections[request.match_info["slug"]])

    async def _item(self, request: web.Request) -> web.Response:
        collection = self.collections[request.match_info["slug"]]
        item = (await request.json())["item"]
        if any(known["id"] == item["id"] and known["type"] == item["type"] for known in collection["items"]):
            raise _error(409, None, "already in the collection")
        number = len(collection["items"])
        collection["items"].append({"_id": str(number), **item, "position": number})
        return web.json_response(collection)


def _error(status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> web.HTTPException:
    """An error response of the Hub, with the code and the message in headers."""
    named = {"X-Error-Code": code} if code else {}
    kinds = {400: web.HTTPBadRequest, 401: web.HTTPUnauthorized, 403: web.HTTPForbidden, 404: web.HTTPNotFound}
    kinds |= {409: web.HTTPConflict, 412: web.HTTPPreconditionFailed}
    return kinds[status](
        text=json.dumps({"error": message}),
        content_type="application/json",
        headers={**named, "X-Error-Message": message, **(headers or {})},
    )


def _metadata_errors(values: Any) -> list[dict[str, str]]:
    """What the Hub's validation refuses, as far as our cards could go wrong."""
    if not isinstance(values, dict):
        return [{"message": "the metadata must be a mapping"}]
    kinds = {"tags": list, "configs": list, "language": (list, str), "license": str, "model-index": list}
    given = {key: kind for key, kind in kinds.items() if key in values}
    wrong = [
        {"message": f"{key} has the wrong type"} for key, kind in given.items() if not isinstance(values[key], kind)
    ]
    for entry in values.get("model-index") or []:
        for result in entry["results"]:
            if not {"task", "dataset", "metrics"} <= set(result) or not {"name", "type"} <= set(result["dataset"]):
                wrong.append({"message": "model-index: a result needs task, dataset (name, type) and metrics"})
    return wrong


def _file(path: str, blob: Blob) -> dict[str, Any]:
    lfs = {"lfs": {"oid": blob.sha256, "size": blob.size, "pointerSize": 134}} if blob.sha256 else {}
    return {"type": "file", "oid": blob.oid, "size": blob.size, "path": path, **lfs}


def _folders(path: str, deep: bool) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts) if deep else min(1, len(parts)))]


@contextmanager
def serve_hub(server: HubServer) -> Iterator[HubServer]:
    """Runs the server in its own thread, on a free port of 127.0.0.1."""
    with running(server.app()) as server.url:
        yield server
