"""The JSON Schemas of the events, under /schemas/."""

from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parents[1] / "webhooks" / "schemas"
_MEDIA_TYPE = "application/schema+json"
_CACHED = {"Cache-Control": "max-age=3600", "Access-Control-Allow-Origin": "*"}


class Schemas:
    """GET /schemas/ lists them, GET /schemas/<type>.json is one."""

    def __init__(self) -> None:
        self._bodies = {path.stem: path.read_bytes() for path in sorted(_FOLDER.glob("*.json"))}

    def add_to(self, app: web.Application) -> None:
        """Hang the routes into `app`."""
        app.router.add_get("/schemas/", self._list)
        app.router.add_get("/schemas/{type}.json", self._one)

    async def _list(self, _request: web.Request) -> web.Response:
        paths = {name: f"/schemas/{name}.json" for name in self._bodies}
        return web.json_response({"schemas": paths}, headers=_CACHED)

    async def _one(self, request: web.Request) -> web.Response:
        body = self._bodies.get(request.match_info["type"])
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type=_MEDIA_TYPE, headers=_CACHED)
