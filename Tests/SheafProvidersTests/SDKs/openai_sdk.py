"""Drives the imitation of OpenAI and Azure with OpenAI's own library: URL KEY"""
import io, json, sys, time
import openai

url, key = sys.argv[1:]


def line(number, endpoint, model="m"):
    return json.dumps({"custom_id": f"request {number} ü", "method": "POST", "url": endpoint,
                       "body": {"model": model, "messages": [{"role": "user", "content": str(number)}]}}) + "\n"


def wait(client, id):
    while True:
        batch = client.batches.retrieve(id)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
        time.sleep(0.02)


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error as caught:
        assert caught.request_id, "an error has no request id"
        return caught.message
    raise AssertionError(f"{call} was not refused")


class Unseekable(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *arguments):
        raise io.UnsupportedOperation()

    tell = seek


def check(client, endpoint, expiry, first):
    content = "".join(line(number, endpoint) for number in range(first, first + 20)).encode()
    file = client.files.create(purpose="batch", file=("requests.jsonl", content),
                               expires_after={"anchor": "created_at", "seconds": expiry})
    assert file.bytes == len(content) and file.status == "processed" and file.purpose == "batch", file
    assert client.files.wait_for_processing(file.id).id == file.id
    assert client.files.content(file.id).read() == content
    assert "Must be .jsonl" in refused(openai.BadRequestError, client.files.create, purpose="batch", file=content)

    batch = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h",
                                  metadata={"key": "value"})
    assert batch.status == "validating" and batch.metadata == {"key": "value"}, batch
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (0, 0, 0)
    batch = wait(client, batch.id)
    assert batch.status == "completed" and batch.request_counts.total == 20, batch
    rows = [json.loads(row) for id in (batch.output_file_id, batch.error_file_id)
            for row in client.files.content(id).read().splitlines()]
    assert all(row["error"] is None for row in rows), "failures with a status have no error"
    statuses = sorted(row["response"]["status_code"] for row in rows)
    # The 4th is refused, the 8th fails the first time, and the 12th has no result.
    assert statuses == [200] * 17 + [400, 500], statuses
    assert {row["custom_id"] for row in rows} == {f"request {number} ü" for number in range(first, first + 20)
                                                if number != first + 11}

    # A wrong file is noticed later.
    lost = wait(client, client.batches.create(input_file_id="file-none", endpoint=endpoint,
                                              completion_window="24h").id)
    assert lost.status == "failed" and lost.errors.data[0].code == "invalid_request", lost

    ids = [client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h").id
           for _ in range(4)]
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert listed[:4] == ids[::-1] and len(set(listed)) == len(listed) >= 6, listed
    assert client.batches.cancel(ids[0]).status == "cancelling"
    cancelled = wait(client, ids[0])
    assert cancelled.status == "cancelled" and not cancelled.output_file_id, cancelled
    rows = [json.loads(row) for row in client.files.content(cancelled.error_file_id).read().splitlines()]
    assert {(row["response"], row["error"]["code"]) for row in rows} == {(None, "batch_cancelled")}

    names = [kept.id for kept in client.files.list(purpose="batch", limit=1)]
    assert file.id in names and len(set(names)) == len(names)
    deleted = client.files.delete(file.id)
    assert deleted.deleted and deleted.object == "file" and deleted.id == file.id
    refused(openai.NotFoundError, client.files.content, file.id)
    assert "No batch found" in refused(openai.NotFoundError, client.batches.retrieve, "batch_none")
    refused(openai.AuthenticationError, client.with_options(api_key="sk-wrong").batches.list)


client = openai.OpenAI(base_url=f"{url}/v1", api_key=key)
check(client, "/v1/chat/completions", 3_600, 0)
streamed = line(1, "/v1/chat/completions").encode()
assert client.files.create(purpose="batch", file=("a.jsonl", Unseekable(streamed))).bytes == len(streamed)
embedding = client.embeddings.create(model="e", input=["1", "2"], encoding_format="float")
assert [entry.embedding[0] for entry in embedding.data] == [1, 2]

check(openai.AzureOpenAI(azure_endpoint=url, api_version="2025-04-01-preview", api_key=key),
      "/chat/completions", 1_209_600, 100)
modern = openai.OpenAI(base_url=f"{url}/openai/v1", api_key=key)
check(modern, "/chat/completions", 1_209_600, 200)
refused(openai.BadRequestError, modern.files.create, purpose="batch", file=("a.jsonl", streamed),
        expires_after={"anchor": "created_at", "seconds": 3_600})
print("openai", openai.__version__)
