"""The settings that Stalwart's documentation shows for JMAP do what it says of them."""

import pytest
import pytest_twisted
import treq

LISTENER = """\
[server.listener."jmap"]
bind = ["[::]:8080"]
url = "jmap.example.org:8080"
protocol = "jmap"
"""
AUTHENTICATION = """\
[jmap]
directory = "sql"
"""
HEADERS = """\
[jmap.http]
headers = ["Cache-Control: max-age=3600", "Server: Stalwart JMAP"]
"""
PERMISSIVE = """\
[jmap.http]
headers = ["Access-Control-Allow-Origin: *", 
           "Access-Control-Allow-Methods: POST, GET, HEAD, OPTIONS", 
           "Access-Control-Allow-Headers: *"]
"""  # noqa: W291
DIRECTORY = """\
[directory."sql"]
type = "memory"
[[directory."sql".principals]]
name = "alice"
secret = "wonderland"
"""


@pytest.fixture
def start(start_daemon):
    """Start a daemon on settings, on a free port; its URL."""

    def start(*snippets):
        ports = start_daemon("\n".join(snippets).replace("[::]:8080", "[::]:0"))
        return f"http://127.0.0.1:{ports['jmap']}"

    return start


@pytest_twisted.ensureDeferred
async def test_listener_directory_and_headers(start, http):
    url = start(LISTENER, AUTHENTICATION, HEADERS, DIRECTORY)
    answer = await http.get(f"{url}/.well-known/jmap", auth=("alice", "wonderland"))
    session = await treq.json_content(answer)
    assert answer.code == 200
    assert session["apiUrl"] == "http://jmap.example.org:8080/jmap/api"
    assert session["username"] == "alice"
    refused = await http.get(f"{url}/jmap/session", auth=("alice", "wrong"))
    await refused.content()
    assert refused.code == 401
    for response in (answer, refused):
        assert response.headers.getRawHeaders("Server") == ["Stalwart JMAP"]
        assert "max-age=3600" in ", ".join(response.headers.getRawHeaders("Cache-Control"))


@pytest_twisted.ensureDeferred
async def test_permissive_cors(start, http):
    url = start(LISTENER, AUTHENTICATION, PERMISSIVE, DIRECTORY)
    asked = {"Origin": "https://example-client.com", "Access-Control-Request-Method": "POST"}
    answer = await http.request("OPTIONS", f"{url}/jmap/api", headers=asked)
    await answer.content()
    assert answer.code == 204
    assert answer.headers.getRawHeaders("Access-Control-Allow-Origin") == ["*"]
    (methods,) = answer.headers.getRawHeaders("Access-Control-Allow-Methods")
    assert methods == "POST, GET, HEAD, OPTIONS"
    # The Fetch standard's * is not for this one, which every client sends.
    assert answer.headers.getRawHeaders("Access-Control-Allow-Headers") == ["*, Authorization"]
