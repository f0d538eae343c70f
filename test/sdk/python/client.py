"""Sends every kind of call by segment-analytics-python and prints what it sent."""

import json
import os
from datetime import date, datetime, timedelta, timezone

from segment.analytics.client import Client
from segment.analytics.version import VERSION

HOST, WRITE_KEY, RUN = (os.environ[name] for name in ("FIRTH_HOST", "FIRTH_WRITE_KEY", "FIRTH_RUN"))
GZIP = os.environ.get("FIRTH_GZIP") == "true"


def at(text):
    return datetime.fromisoformat(text)


def kinds():
    """Values of every kind that JSON from Python can hold."""
    return {
        "id": "order-17",
        "order": "a reserved word",
        "text": "plain",
        "unicode": "Zoë, 日本語, 🌊, \u00a0\u2028",
        "nul": "before\0after",
        "quoted": "it's \"quoted\" \\ / \t",
        "empty": "",
        "numericText": "0012",
        "whole": 42,
        "negative": -7,
        "zero": 0,
        "largest": 2**63 - 1,
        "smallest": -(2**63),
        "beyond": 2**100,
        "price": 18.99,
        "integral": 3.0,
        "tiny": 1e-7,
        "huge": 1e21,
        "yes": True,
        "no": False,
        "nothing": None,
        "happenedAt": datetime(2025, 2, 3, 4, 5, 6, 789012, tzinfo=timezone.utc),
        "zoned": datetime(2025, 4, 2, 6, 39, 3, 250000, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        "day": date(2024, 2, 29),
        "notADay": "2023-02-29",
        "Coupon Code": "SPRING",
        "__proto__": {"polluted": True},
        "shipping": {"address": {"city": "Zürich", "postalCode": "8001"}, "weightKg": 1.5, "express": False, "parcels": 2},
        "products": [{"sku": "a-1", "quantity": 2, "price": 9.495}, {"sku": 'b"2', "quantity": 1, "price": 0}],
        "tags": ("x", "日本"),
        "mixed": [1, "two", None, True, {"three": 3}],
        "none": [],
        "nobody": {},
    }


def calls():
    """The calls, in the parameters of the SDK with `type` beside them."""
    user, company = f"user-{RUN}", f"company-{RUN}"
    who = {"user_id": user, "anonymous_id": f"anon-{RUN}"}
    context = {
        "ip": "203.0.113.9",
        "locale": "de-CH",
        "campaign": {"name": "Spring 🌱", "source": "newsletter"},
        "custom": {"Flag": True, "level": 7, "ratio": 0.25},
    }
    first = {
        "id": "crm-7", "email": "zoë@example.com", "plan": "free", "logins": 3, "score": 4.5, "admin": True, "phone": None,
        "createdAt": at("2024-12-24T18:00:00+00:00"), "address": {"city": "Zürich", "postalCode": "8001"},
    }
    firm = {
        "name": "Wéird & Söns", "employees": 12, "mrr": 1234.56, "trialEndsAt": at("2025-04-01T00:00:00+00:00"),
        "domains": ["example.com", "example.org"],
    }
    signed_up = "Signed Up 🎉"
    return [
        {"type": "identify", **who, "timestamp": at("2025-03-01T10:20:30.123456+00:00"), "traits": first},
        {"type": "identify", **who, "traits": {"plan": "paid", "company": {"name": "Wéird & Söns", "employees": 12}}},
        {"type": "track", **who, "event": "Order Completed", "timestamp": at("2025-03-01T10:21:00.456+00:00"),
         "properties": kinds(), "context": context, "integrations": {"All": True, "Mixpanel": False}},
        {"type": "track", "anonymous_id": who["anonymous_id"], "event": signed_up, "properties": {"plan": "free", "seats": 1}},
        {"type": "track", **who, "event": signed_up, "properties": {"plan": "free", "seats": 2.5}},
        {"type": "track", **who, "event": "日本語", "properties": {"tracksOnly": True}},
        {"type": "page", **who, "category": "Docs", "name": "Install", "timestamp": at("2025-03-02T01:00:00.001+01:00"),
         "properties": {"depth": 2, "section": "unpack", "readAt": at("2025-03-01T23:59:59+00:00")}},
        {"type": "screen", **who, "category": "Mobile", "name": "Home", "properties": {"depth": 1, "landscape": False}},
        {"type": "group", **who, "group_id": company, "timestamp": at("2025-03-02T08:00:00+00:00"), "traits": firm},
        {"type": "group", **who, "group_id": company, "traits": {"employees": 13, "plan": "paid"}},
        {"type": "alias", "user_id": user, "previous_id": f"old-{RUN}"},
    ]


WIRE = {"user_id": "userId", "anonymous_id": "anonymousId", "group_id": "groupId", "previous_id": "previousId", "message_id": "messageId"}


def main():
    failures = []
    client = Client(WRITE_KEY, host=HOST, gzip=GZIP, on_error=lambda err, batch: failures.append(str(err)))
    sent = []
    for number, call in enumerate(calls()):
        call["message_id"] = f"python-{RUN}-{number}"
        # The SDK cuts a call's timestamp to milliseconds and adds its library to the context that it is given.
        record = {WIRE.get(key, key): value for key, value in call.items()}
        if "timestamp" in record:
            record["timestamp"] = record["timestamp"].isoformat(timespec="milliseconds")
        sent.append(json.loads(json.dumps(record, default=lambda value: value.isoformat())))
        kind = call.pop("type")
        getattr(client, kind)(**call)
    client.shutdown()
    if failures:
        raise SystemExit("; ".join(failures))
    print(json.dumps({"library": "segment-analytics-python", "version": VERSION, "calls": sent}))


main()
