"""Hosted pages in plain HTML: they work without JavaScript, for a person and for a script alike."""

from collections.abc import Iterable
from html import escape
from typing import Final

from aiohttp import web

from simulator.happenings import Json

_ZERO_DECIMAL: Final = frozenset({"jpy", "krw", "vnd", "clp"})

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
}
_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}"
    "label,button{display:block;margin:.5em 0}input,select{font:inherit}form{margin:1.5em 0}"
    "table{border-collapse:collapse}td{padding:.2em 1em .2em 0}[role=alert]{color:#a00}"
)


def page(title: str, parts: Iterable[str], status: int = 200) -> web.Response:
    """A page of its own; the *parts* are HTML already."""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{''.join(parts)}</main></body></html>"
    )
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def alert(text: str | None) -> str:
    """What went wrong, or nothing."""
    return f'<p role="alert">{escape(text)}</p>' if text else ""


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows of text."""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{body}</table>"


def form(action: str, parts: Iterable[str], button: str, **hidden: str) -> str:
    """A form that posts to this page again, saying which *action* is asked for."""
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in {"action": action, **hidden}.items()
    )
    return f'<form method="post">{kept}{"".join(parts)}<button>{escape(button)}</button></form>'


def field(name: str, label: str, value: str = "", *, required: bool = False) -> str:
    """A line to write in."""
    needed = " required" if required else ""
    return f'<label>{escape(label)} <input name="{escape(name)}" value="{escape(value)}"{needed}></label>'


def select(name: str, label: str, options: Iterable[tuple[str, str]]) -> str:
    """A choice of values, each with its words."""
    listed = "".join(f'<option value="{escape(value)}">{escape(words)}</option>' for value, words in options)
    return f'<label>{escape(label)} <select name="{escape(name)}">{listed}</select></label>'


def link(url: str, words: str) -> str:
    """A way out."""
    return f'<p><a href="{escape(url)}">{escape(words)}</a></p>'


def money(amount: int, currency: str) -> str:
    """An amount as people write it."""
    shown = f"{amount}" if currency in _ZERO_DECIMAL else f"{amount / 100:.2f}"
    return f"{shown} {currency.upper()}"


def price_words(price: Json) -> str:
    """A price as people read it."""
    amount = money(price["unit_amount"], price["currency"])
    recurring = price["recurring"]
    name = price["lookup_key"] or price["nickname"] or price["id"]
    return f"{name}: {amount}" + (f" per {recurring['interval']}" if recurring else "")
