"""Drives the imitation of Anthropic with Anthropic's own library: URL KEY"""
import sys, time
import anthropic

url, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=url, api_key=key)
batches = client.messages.batches


def request(number, **options):
    return {"custom_id": f"r_{number}", "params": {
        "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": str(number)}], **options}}


def wait(id):
    while True:
        batch = batches.retrieve(id)
        counts = batch.request_counts
        total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
        assert total > 0 and batch.expires_at is not None
        if batch.processing_status == "ended":
            return batch
        assert batch.results_url is None
        time.sleep(0.02)


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error as caught:
        assert caught.request_id, "an error has no request id"
        return caught.body["error"]["type"]
    raise AssertionError(f"{call} was not refused")


created = batches.create(requests=[request(number) for number in range(20)])
assert created.processing_status == "in_progress" and created.type == "message_batch", created
assert created.request_counts.processing == 20 and created.archived_at is None
ended = wait(created.id)
assert ended.results_url.startswith(url) and ended.ended_at is not None
results = {row.custom_id: row.result for row in batches.results(created.id)}
# 3 is refused, 7 fails the first time, 11 has no result.
assert set(results) == {f"r_{number}" for number in range(20) if number != 11}
assert results["r_3"].error.error.type == "invalid_request_error" and results["r_7"].error.error.type == "api_error"
message = results["r_5"].message
assert message.content[0].text == "m: 5" and message.usage.service_tier == "batch", message
assert message.usage.input_tokens == 5 and message.usage.output_tokens == 6

# Faults of ids are noticed at once, those of parameters later.
assert refused(anthropic.BadRequestError, batches.create, requests=[]) == "invalid_request_error"
assert refused(anthropic.BadRequestError, batches.create, requests=[request(1), request(1)])
assert refused(anthropic.BadRequestError, batches.create, requests=[request("a b")])
late = wait(batches.create(requests=[request(20, model="no-such-model")]).id)
assert [row.result.type for row in batches.results(late.id)] == ["errored"] and late.request_counts.errored == 1

ids = [batches.create(requests=[request(30 + number)]).id for number in range(5)]
listed = [batch.id for batch in batches.list(limit=2)]
assert listed == [*ids[::-1], late.id, created.id], listed
before = [batch.id for batch in batches.list(limit=2, before_id=created.id).data]
assert before == [ids[0], late.id], before

long = batches.create(requests=[request(number) for number in range(40, 44)])
assert refused(anthropic.BadRequestError, batches.delete, long.id)
cancelled = batches.cancel(long.id)
assert cancelled.processing_status == "canceling" and cancelled.cancel_initiated_at is not None
assert wait(long.id).request_counts.canceled == 4
assert {row.result.type for row in batches.results(long.id)} == {"canceled"}
assert batches.delete(long.id).type == "message_batch_deleted"
assert long.id not in [batch.id for batch in batches.list()]
assert refused(anthropic.NotFoundError, batches.retrieve, "msgbatch_none") == "not_found_error"
wrong = client.with_options(api_key="sk-wrong")
assert refused(anthropic.AuthenticationError, wrong.messages.batches.list) == "authentication_error"
older = anthropic.Anthropic(base_url=url, api_key="none",
                            default_headers={"Authorization": "", "x-api-key": key, "anthropic-version": "2023-06-01"})
assert older.messages.batches.retrieve(created.id).id == created.id
live = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "6"}])
assert live.content[0].text == "m: 6"
print("anthropic", anthropic.__version__)
