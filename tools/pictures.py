"""Draw the charts of our dashboards: `python tools/pictures.py`, needs vl-convert-python and the tests' OpenSearch.

The Vega-Lite panels are asked from a real OpenSearch that holds the company of tests/siem_data.py, and drawn in the size
that they have on a dashboard, with the colours of OpenSearch Dashboards, into docs/images/. Without
FIELDTRAIL_TEST_OPENSEARCH a server is started for it.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import vl_convert  # noqa: E402 - after the path

from shipper.siem.dashboards import ndjson  # noqa: E402
from tests import siem_data  # noqa: E402
from tests.integration.opensearch import server  # noqa: E402
from tests.saved_requests import Context, Objects, filled  # noqa: E402

IMAGES = ROOT / "docs" / "images"
VERSIONS = ("5.8", "5.20", "6.4")
"""Of Vega-Lite: about what Dashboards 2.x and 3.x hold. Every chart must come out in each."""
NAMESPACE = "pictures"

# Dashboards' own: the palette of its charts, and how many pixels a panel has.
_PALETTE = [
    "#54b399",
    "#6092c0",
    "#d36086",
    "#9170b8",
    "#ca8eae",
    "#d6bf57",
    "#b9a888",
    "#da8b45",
    "#aa6556",
    "#e7664c",
]
_LOOKS = {"range": {"category": _PALETTE}, "mark": {"color": _PALETTE[0]}}
_SCREEN, _COLUMNS, _ROW = 1440, 48, 20
_MARGIN, _HEAD = 30, 50


def charts(objects: Objects) -> dict[str, dict]:
    """The Vega-Lite specs by id, each as large as on its dashboard, under its title."""
    sizes = {}
    for board in objects.of("dashboard"):
        targets = {ref["name"]: ref["id"] for ref in board["references"]}
        for panel in json.loads(board["attributes"]["panelsJSON"]):
            sizes[targets[panel["panelRefName"]]] = panel["gridData"]
    found = {}
    for one in objects.of("visualization"):
        state = json.loads(one["attributes"]["visState"])
        if state["type"] != "vega":
            continue
        spec, grid = json.loads(state["params"]["spec"]), sizes[one["id"]]
        spec |= {
            "width": grid["w"] * _SCREEN // _COLUMNS - _MARGIN,
            "height": grid["h"] * _ROW - _HEAD,
            "autosize": {"type": "fit", "contains": "padding"},
            "padding": 10,
            "background": "white",
            "title": {"text": one["attributes"]["title"].removesuffix(f" ({NAMESPACE})"), "anchor": "start"},
            "config": {**_LOOKS, **spec.get("config", {})},
        }
        found[one["id"]] = spec
    return found


def answered(objects: Objects, ident: str, spec: dict, ask: Callable, context: Context) -> dict:
    """The spec with OpenSearch's answers in it."""
    answers = []
    for request in objects.requests(objects.by_key["visualization", ident], context):
        reply = ask("POST", f"/{request.index}/_search?ignore_unavailable=true", request.body)
        assert reply.status == 200, (ident, reply.body)
        answers.append(reply.json)
    return filled(spec, answers)


def draw(spec: dict, version: str = VERSIONS[1]) -> bytes:
    """A PNG; warnings of Vega-Lite go to standard error, addresses are not followed."""
    return vl_convert.vegalite_to_png(
        json.dumps(spec), vl_version=version, scale=1, show_warnings=True, allowed_base_urls=[]
    )


def texts(spec: dict, version: str = VERSIONS[1]) -> list[str]:
    """Every text that the drawn chart shows, in the order of drawing."""
    found: list[str] = []

    def look(item: object) -> None:
        if isinstance(item, dict):
            if item.get("marktype") == "text":
                found.extend(str(one["text"]) for one in item.get("items", []) if one.get("text") not in (None, ""))
            for value in item.values():
                look(value)
        elif isinstance(item, list):
            for value in item:
                look(value)

    look(vl_convert.vegalite_to_scenegraph(json.dumps(spec), vl_version=version))
    return found


def main() -> None:
    """Draw all of them, in UTC."""
    os.environ["TZ"] = "UTC"
    url = server.url_from_environment()
    with tempfile.TemporaryDirectory() as folder:
        if url:
            _draw_all(url, Path(folder))
            return
        with server.Server(Path(folder) / "opensearch") as running:
            _draw_all(running.url, Path(folder))


def _draw_all(url: str, folder: Path) -> None:
    ask = siem_data.asking(url)
    siem_data.install_templates(url)
    siem_data.seed(folder, NAMESPACE, url, ask)
    try:
        objects = Objects(ndjson(NAMESPACE))
        context = Context(siem_data.SINCE, siem_data.UNTIL)
        IMAGES.mkdir(exist_ok=True)
        for ident, spec in charts(objects).items():
            name = ident.removeprefix(f"fieldtrail.{NAMESPACE}-")
            (IMAGES / f"{name}.png").write_bytes(draw(answered(objects, ident, spec, ask, context)))
    finally:
        ask("DELETE", f"/_data_stream/logs-fieldtrail.*-{NAMESPACE}")


if __name__ == "__main__":
    main()
