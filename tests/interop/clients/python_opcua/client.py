"""python-opcua 0.98 as client: does what the JSON on stdin says, answers with JSON on stdout.

Runs in an environment of its own, where neither trimtab nor asyncua is.
"""

import json
import sys
import time

from opcua import Client, ua

PUBLISHING_MS = 100


class Sink:
    def __init__(self):
        self.seen = []

    def datachange_notification(self, node, value, data):  # noqa: ARG002
        self.seen.append(value)


def status_of(act, *arguments):
    """Good, or the name of the status code that the server answered."""
    try:
        act(*arguments)
    except ua.UaStatusCodeError as error:
        return type(error).__name__
    return "Good"


def variant(kind, value):
    return ua.DataValue(ua.Variant(value, ua.VariantType[kind]))


def subscribed(client, node, seconds):
    sink = Sink()
    subscription = client.create_subscription(PUBLISHING_MS, sink)
    subscription.subscribe_data_change(client.get_node(node))
    time.sleep(seconds)
    subscription.delete()
    return sink.seen


def session(client, job):
    node = client.get_node
    read = node(job["read"]).get_data_value()
    units = node(job["read"]).get_child("0:EngineeringUnits").get_value()
    limits = node(job["read"]).get_child("0:EURange").get_value()
    return {
        "browse": [child.get_browse_name().Name for child in node(job["browse"]).get_children()],
        "value": read.Value.Value,
        "type": read.Value.VariantType.name,
        "status": read.StatusCode.name,
        "source": read.SourceTimestamp.isoformat(),
        "unit": [units.UnitId, units.DisplayName.Text],
        "range": [limits.Low, limits.High],
        "writes": [
            status_of(node(item["node"]).set_value, variant(item["type"], item["value"]))
            for item in job["writes"]
        ],
        "after": node(job["writes"][0]["node"]).get_value(),
        "calls": [
            status_of(
                node(one["object"]).call_method,
                node(one["method"]),
                *(ua.Variant(value, ua.VariantType[kind]) for kind, value in one["inputs"]),
            )
            for one in job["calls"]
        ],
        "notified": subscribed(client, job["subscribe"], job["seconds"]),
    }


def run(job):
    client = Client(job["url"], timeout=10)
    client.application_uri = job["uri"]
    client.set_user(job["user"])
    client.set_password(job["password"])
    if job.get("security"):
        client.set_security_string(job["security"])
    try:
        client.connect()
    except ua.UaError as error:
        return {"refused": type(error).__name__}
    try:
        return session(client, job)
    finally:
        client.disconnect()


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
