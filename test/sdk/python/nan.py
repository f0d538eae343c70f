"""Sends a batch with a NaN, which Python writes as a word that JSON does not have, and prints what the SDK reports."""

import json
import os

from segment.analytics.client import Client


def main():
    reports = []
    client = Client(os.environ["FIRTH_WRITE_KEY"], host=os.environ["FIRTH_HOST"], on_error=lambda err, batch: reports.append(str(err)))
    client.track("u", "Measured", {"value": float("nan")}, message_id="nan-" + os.environ["FIRTH_RUN"])
    client.shutdown()
    print(json.dumps(reports))


main()
