"""Drives the imitation of Gemini with Google's own library: URL KEY"""
import io, json, sys, time
from google import genai
from google.genai import errors, types

url, key = sys.argv[1:]
client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{url}/gemini"))


def upload(numbers):
    lines = "".join(json.dumps({"key": f"key {number} ü", "request": {
        "contents": [{"role": "user", "parts": [{"text": str(number)}]}]}}) + "\n" for number in numbers)
    return client.files.upload(file=io.BytesIO(lines.encode()),
                               config={"display_name": "requests", "mime_type": "application/jsonl"})


def wait(name):
    while True:
        job = client.batches.get(name=name)
        if job.state.name in ("JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED", "JOB_STATE_FAILED"):
            return job
        time.sleep(0.02)


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except errors.APIError as caught:
        assert caught.code == status, caught
        return caught.message
    raise AssertionError(f"{call} was not refused")


file = upload(range(20))
assert file.name.startswith("files/") and file.state.name == "ACTIVE" and file.display_name == "requests", file
job = client.batches.create(model="gemini-x", src=file.name, config={"display_name": "a name"})
assert job.name.startswith("batches/") and job.state.name == "JOB_STATE_PENDING", job
assert job.display_name == "a name" and job.model == "models/gemini-x"
job = wait(job.name)
assert job.state.name == "JOB_STATE_SUCCEEDED", job
rows = [json.loads(row) for row in client.files.download(file=job.dest.file_name).splitlines()]
# The 4th is refused, the 8th fails the first time, and the 12th has no result.
assert sorted(row["error"]["code"] for row in rows if "error" in row) == [3, 13], rows
assert {row["key"] for row in rows} == {f"key {number} ü" for number in range(20) if number != 11}
parsed = [types.GenerateContentResponse.model_validate(row["response"]) for row in rows if "response" in row]
assert len(parsed) == 17 and all(answer.text.startswith("gemini-x: ") for answer in parsed)

# One bad line refuses all.
bad = client.files.upload(file=io.BytesIO(b'{"key":"a","request":{"nonsense":1}}\n'),
                          config={"mime_type": "application/jsonl"})
assert "nonsense" in refused(400, client.batches.create, model="gemini-x", src=bad.name,
                            config={"display_name": "bad"})
named = {"display_name": "a name"}
refused(404, client.batches.create, model="no-such-model", src=file.name, config=named)

names = [client.batches.create(model="gemini-x", src=file.name, config=named).name for _ in range(4)]
listed = [job.name for job in client.batches.list(config={"page_size": 2})]
assert listed[:4] == names[::-1] and len(set(listed)) == len(listed) == 5, listed
client.batches.cancel(name=names[0])
cancelled = wait(names[0])
assert cancelled.state.name == "JOB_STATE_CANCELLED" and (cancelled.dest is None or not cancelled.dest.file_name)
client.batches.delete(name=names[0])
assert names[0] not in [job.name for job in client.batches.list()]
client.files.delete(name=file.name)
refused(404, client.files.delete, name=file.name)
refused(404, client.batches.get, name="batches/none")
stranger = genai.Client(api_key="sk-wrong", http_options=types.HttpOptions(base_url=f"{url}/gemini"))
refused(400, stranger.batches.get, name=names[1])

answer = client.models.generate_content(model="gemini-x", contents="100")
assert answer.text == "gemini-x: 100" and answer.usage_metadata.prompt_token_count == 101
assert [entry.values[0] for entry in client.models.embed_content(model="e", contents=["101", "102"]).embeddings] == [
    101, 102]
print("google-genai", genai.__version__)
