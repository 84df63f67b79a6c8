"""What is made of answers that Dashboards does not usually give. The usual ones: tests/integration."""

import pytest

from shipper.errors import UnavailableError
from shipper.outputs._bulk import Answer
from shipper.siem import importing
from shipper.siem.importing import Imported, Rejected, import_saved_objects

URL = "https://dashboards.example"


@pytest.fixture
def answered(monkeypatch):
    """`answered(body)`: what an import says of it."""

    class Server:
        def __init__(self, body):
            self.body = body

        def request(self, method, path, **more):
            return Answer(200, {}, self.body)

        def close(self):
            pass

    def run(body):
        monkeypatch.setattr(importing, "client_for", lambda url, **more: Server(body))
        return import_saved_objects(URL, b"{}\n")

    return run


@pytest.mark.parametrize("errors", ["5", '"no"', "{}", "null", "[]"])
def test_a_failure_whose_errors_are_no_list_is_told_as_one_without_a_reason(answered, errors):
    with pytest.raises(UnavailableError, match="not why"):
        answered(f'{{"success": false, "errors": {errors}}}'.encode())


@pytest.mark.parametrize("references", ["3", "null", '"x"'])
def test_references_that_are_no_list_name_nothing(answered, references):
    one = f'{{"type": "dashboard", "id": "d", "error": {{"type": "missing_references", "references": {references}}}}}'
    made = answered(f'{{"success": false, "successCount": 2, "errors": [{one}]}}'.encode())
    assert made == Imported(2, (Rejected("dashboard", "d", "refers to what is not there: "),))
