import pytest

from shared import urls


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "authority"),
    [
        ("https://example.com", "example.com", 443, "/", "example.com"),
        ("http://Example.com:8080/a?b=c#d", "example.com", 8080, "/a?b=c", "example.com:8080"),
        ("https://example.com:443/", "example.com", 443, "/", "example.com"),
        ("http://[::1]:80/x", "::1", 80, "/x", "[::1]"),
        ("http://a_b/ü?q=ö", "a_b", 80, "/%C3%BC?q=%C3%B6", "a_b"),
        ("http://a/%2Fb?c=%20", "a", 80, "/%2Fb?c=%20", "a"),
        ("http://2130706433/", "2130706433", 80, "/", "2130706433"),
    ],
)
def test_a_url_is_read_once(text, host, port, target, authority):
    url = urls.read(text)

    assert (url.host, url.port, url.target, url.authority) == (host, port, target, authority)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com /",
        "http://example.com/a b",
        "http://example.com/\r\nHost: x",
        "http://example.com/\x00",
        " http://example.com/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://ex%61mple.com/",
        "http://-a.com/",
        "http://a..b/",
        "http://.a/",
        f"http://{'a' * 64}.com/",
        f"http://{'a.' * 127}com/",
        "http://[::1/",
        "http://[fe80::1%eth0]/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:x/",
        "http://example.com/a/../b",
        "http://example.com/a/%2e%2E/b",
        "http://example.com/a/..%2fb",
        "http://example.com/.",
        f"http://example.com/{'a' * 8000}",
    ],
)
def test_what_is_no_plain_absolute_url_is_refused(text):
    with pytest.raises(ValueError, match=r"^the (path of the )?URL "):
        urls.read(text)
