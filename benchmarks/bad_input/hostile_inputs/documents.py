"""Documents and headers that are dear to read, to check, or to tell what is wrong with them."""

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.bad_input.hostile_inputs.sending import Input, Request, burst, form, get, once, post

_MIB = 1 << 20
_ROOM = _MIB - 2_000
_SPEC: dict[str, Any] = {"preset": "quickstart"}
_CARD = {"name": "mine", "architecture": {"kind": "cnn"}, "dataset": {"name": "image_folder", "folder": "none"}}


def documents(checkpoint: str, experiment: str) -> Iterator[Input]:
    """All of them."""
    yield from _charsets()
    yield from _wrong_items(checkpoint, experiment)
    yield from _depths()
    yield from _legal(experiment, checkpoint)
    yield from _headers()


def _charsets() -> Iterator[Input]:
    words = "a" * (_ROOM // 2) + "-" + "z9" * (_ROOM // 4)
    for path in ("/v1/checkpoints", "/v1/classifications", "/v1/datasets"):
        yield once(
            f"a form of another charset, {path}",
            "charset=punycode, one text of a megabyte",
            form(path, [("card", words)], charset="punycode"),
        )
    request = form("/v1/checkpoints", [("card", words)], charset="punycode")
    yield burst("forms of another charset at once", "50 of them", request, 50)
    kind = {"Content-Type": "application/json; charset=punycode"}
    yield once("JSON of another charset", "a megabyte", Request("POST", "/v1/experiments", words.encode(), kind))


def _wrong_items(checkpoint: str, experiment: str) -> Iterator[Input]:
    ones = [1] * (_ROOM // 3)
    pairs: list[Any] = [{}] * (_ROOM // 4)
    places: dict[str, Any] = {
        "objectives": {"objectives": ones},
        "objectives, as objects": {"objectives": pairs},
        "seeds": {"seeds": ["x"] * (_ROOM // 5)},
        "evaluation.select": {"evaluation": {"select": ones}},
        "evaluation.attacks": {"evaluation": {"attacks": pairs}},
        "budgets": {"evaluation": {"attacks": [{"kind": "fgsm", "eps": ["x"] * (_ROOM // 5)}]}},
        "evaluation.masking.sources": {"evaluation": {"masking": {"sources": ones}}},
        "labels": {"labels": ones},
        "fields": {f"f{number}": 1 for number in range(_ROOM // 14)},
        "a schedule's milestones": {"training": {"schedule": {"kind": "step", "milestones": ["x"] * (_ROOM // 5)}}},
    }
    for place, fields in places.items():
        for path in ("/v1/experiments", "/v1/experiments/validate"):
            yield once(f"wrong items in {place}, {path}", "a megabyte of JSON", post(path, _SPEC | fields))
    yield once(
        "wrong items in another one's changes",
        "a megabyte of JSON",
        post("/v1/experiments", {"like": experiment, "changes": {"objectives": pairs}}),
        post("/v1/experiments", {"like": experiment, "changes": {f"f{n}": {} for n in range(_ROOM // 16)}}),
    )
    yield once("wrong checkpoints to transfer", "a megabyte", post("/v1/transfers", {"checkpoints": ones, "eps": 0}))
    yield once(
        "wrong attacks of an evaluation",
        "a megabyte",
        post("/v1/evaluations", {"checkpoint": checkpoint, "attacks": pairs}),
    )
    yield once(
        "wrong classes of an import",
        "a megabyte",
        form("/v1/checkpoints", [("weights", b""), ("card", json.dumps(_CARD | {"classes": ones}))]),
        form("/v1/checkpoints", [("weights", b""), ("card", json.dumps(_CARD | {"classes": ["x"] * (_ROOM // 5)}))]),
    )
    attack = json.dumps({"kind": "pgd", "eps": ones})
    yield once(
        "wrong budgets for a picture",
        "a megabyte",
        form("/v1/classifications", [("image", b"P6 1 1 255\n123"), ("checkpoint", checkpoint), ("attack", attack)]),
    )
    yield once("a wrong patch", "a megabyte", post(f"/v1/experiments/{experiment}", {"labels": ones}, "PATCH"))
    yield once(
        "a wrong token and a wrong webhook",
        "a megabyte each",
        post("/v1/tokens", {"owner": "o" * _ROOM, "scope": "read"}),
        post("/v1/webhooks", {"url": "http://" + "a" * _ROOM}),
        post("/v1/webhooks", {"url": "https://example.org", "events": ones}),
    )
    yield burst("wrong items at once", "50 senders", post("/v1/experiments", _SPEC | {"objectives": ones}), 50)
    many = post("/v1/experiments/validate", _SPEC | {"objectives": pairs})
    yield burst("wrong items to validate at once", "50 senders", many, 50)


def _depths() -> Iterator[Input]:
    half = _ROOM // 2
    texts = {
        "brackets": "[" * half + "]" * half,
        "open brackets": "[" * _ROOM,
        "objects": '{"a":' * (_ROOM // 6) + "1" + "}" * (_ROOM // 6),
        "a deep preset": '{"preset": "quickstart", "training": ' + '{"schedule":' * 900 + "1" + "}" * 901,
        "deep changes": '{"like": "exp_1", "changes": ' + '{"training":' * 900 + "1" + "}" * 901,
        "a long number": '{"seeds": [' + "9" * _ROOM + "]}",
        "many long numbers": '{"seeds": [' + ",".join(["9" * 4_000] * 250) + "]}",
        "a long exponent": '{"seeds": [1e' + "9" * _ROOM + "]}",
        "not a number": '{"preset": "quickstart", "seeds": [' + "NaN," * (_ROOM // 4) + "0]}",
        "halves of surrogates": '{"name": "' + "\\ud800" * (_ROOM // 6) + '"}',
        "zeros": '{"preset": "quickstart", "name": "' + "\\u0000" * (_ROOM // 6) + '"}',
        "a long name": '{"preset": "quickstart", "name": "' + "n" * _ROOM + '"}',
        "a key again and again": "{" + '"a":1,' * (_ROOM // 7) + '"a":1}',
        "many keys": "{" + ",".join(f'"{number}":0' for number in range(_ROOM // 12)) + "}",
        "escapes": '{"name": "' + "\\\\" * half + '"}',
        "a long fraction": '{"preset": "quickstart", "adversary": {"kind": "fgsm", "eps": "1/' + "7" * _ROOM + '"}}',
        "a long decimal": '{"preset": "quickstart", "adversary": {"kind": "fgsm", "eps": "1e-' + "9" * 9 + '"}}',
    }
    for name, text in texts.items():
        yield once(name, f"{len(text):,} bytes of JSON", post("/v1/experiments", text), post("/v1/evaluations", text))
    yield burst("brackets at once", "50 senders", post("/v1/experiments", texts["objects"]), 50)


def _legal(experiment: str, checkpoint: str) -> Iterator[Input]:
    attacks = [{"kind": "fgsm", "eps": f"{number}/255"} for number in range(1, 101)]
    objectives = [{"kind": "cross_entropy", "label_smoothing": number / 1000} for number in range(100)]
    large = _SPEC | {"name": "large", "objectives": objectives, "seeds": list(range(10))}
    large |= {"evaluation": {"attacks": attacks}}
    yield once("a legal spec of 1,000 runs", "100 objectives, 10 seeds, 100 attacks", post("/v1/experiments", large))
    yield burst("legal specs of 1,000 runs at once", "5 senders", post("/v1/experiments", large), 5)
    yield burst("looked at before they are sent", "20 senders", post("/v1/experiments/validate", large), 20)
    yield burst("notes", "200 changes by 20 senders", post(f"/v1/experiments/{experiment}", _NOTES, "PATCH"), 200, 20)
    asked = {"checkpoint": checkpoint, "attacks": attacks}
    yield burst("evaluations of 100 attacks", "100 by 20 senders", post("/v1/evaluations", asked), 100, 20)
    yield burst("small specs", "100 by 20 senders", post("/v1/experiments", _SPEC), 100, 20)


_NOTES = {"notes": "n" * 10_000}


def _headers() -> Iterator[Input]:
    quoted = '"' + "\\" * 14_000
    yield once("a cookie of 60 kB", "of quotes and backslashes", get("/v1/experiments", Cookie='a="' + "\\" * 60_000))
    yield once("a cookie of 14 kB", "of quotes and backslashes", get("/v1/experiments", Cookie="a=" + quoted))
    yield burst("cookies of 14 kB", "200 by 20 senders", get("/v1/experiments", Cookie="a=" + quoted), 200, 20)
    yield once("a session cookie of 14 kB", "", get("/v1/session", Cookie="gauntlet_session=" + quoted))
    yield once(
        "a thousand headers", "", Request("GET", "/v1/experiments", headers={f"X-{n}": "v" for n in range(1000)})
    )
    yield once("a long query", "14 kB of parameters", get("/v1/experiments?" + "&".join(["a=1"] * 3_500)))
    yield once("an escaped query", "14 kB of escapes", get("/v1/experiments?name=" + "%F0%9F%98%80" * 1_150))
    yield once("labels to filter by", "14 kB", get("/v1/experiments?" + "&".join(["label=a"] * 1_700)))
    yield once("entity tags", "14 kB", get("/v1/experiments", **{"If-None-Match": ",".join(['W/"a"'] * 2_300)}))
    wrong = {"Authorization": "Bearer gnt_" + "a" * 60}
    yield burst("wrong tokens", "500 by 50 senders", Request("GET", "/v1/runs", headers=wrong), 500, 50)
    yield burst("nothing there", "500 by 50 senders", get("/v1/experiments/%252e%252e%252fpasswd"), 500, 50)
    foreign = {"Host": "evil.example", "Origin": "https://evil.example"}
    yield burst("another site", "500 by 50 senders", Request("POST", "/v1/experiments", b"{}", foreign), 500, 50)
