"""Drives the imitation of Vertex AI with Google's own libraries: URL KEY"""
import json, os, sys, time

url, key = sys.argv[1:]
os.environ["STORAGE_EMULATOR_HOST"] = url
import google.auth.credentials, google.cloud.storage, google.oauth2.credentials
from google import genai
from google.genai import errors, types

token = google.oauth2.credentials.Credentials(key)
bucket = google.cloud.storage.Client(project="tests", credentials=token).bucket("tests-sdk")
client = genai.Client(vertexai=True, project="tests", location="us-central1", credentials=token,
                      http_options=types.HttpOptions(base_url=url))


def store(name, lines):
    bucket.blob(name).upload_from_string("".join(json.dumps(line) + "\n" for line in lines), "application/jsonl")
    return f"gs://tests-sdk/{name}"


def line(number, **more):
    return {"custom_id": f"key {number} ü", "request": {
        "contents": [{"role": "user", "parts": [{"text": str(number)}]}], **more}}


def submit(source):
    return client.batches.create(model="gemini-x", src=source, config={
        "display_name": "a name", "dest": "gs://tests-sdk/out"})


def wait(name):
    while True:
        job = client.batches.get(name=name)
        if job.state.name in ("JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED", "JOB_STATE_FAILED"):
            return job
        time.sleep(0.02)


def rows(directory):
    prefix = directory.removeprefix("gs://tests-sdk/")
    return [json.loads(row) for blob in bucket.list_blobs(prefix=prefix) for row in blob.download_as_bytes().splitlines()]


source = store("a folder/requests.jsonl", [line(number) for number in range(20)])
job = submit(source)
assert job.name.startswith("projects/") and job.state.name == "JOB_STATE_PENDING", job
assert job.display_name == "a name" and job.model == "publishers/google/models/gemini-x", job
job = wait(job.name)
assert job.state.name == "JOB_STATE_SUCCEEDED", job
# The library shows the folder that was asked for; the folder of the job is below it.
found = rows("gs://tests-sdk/out")
assert {row["custom_id"] for row in found} == {f"key {number} ü" for number in range(20) if number != 11}
# The 4th is refused, the 8th fails the first time, and the 12th has no result.
assert [row["status"].split(":")[0] for row in found if row["status"]] in (["Bad Request", "Internal"],
                                                                            ["Internal", "Bad Request"])
parsed = [types.GenerateContentResponse.model_validate(row["response"]) for row in found if not row["status"]]
assert len(parsed) == 17 and all(answer.text.startswith("gemini-x: ") for answer in parsed)

# One line that cannot be imported fails all.
bad = wait(submit(store("bad.jsonl", [line(30), line(31, generationConfig={"$defs": {"a": 1}})])).name)
assert bad.state.name == "JOB_STATE_FAILED" and bad.error.code == 3 and "$defs" in bad.error.message, bad
lost = wait(submit("gs://tests-sdk/none.jsonl").name)
assert lost.state.name == "JOB_STATE_FAILED" and lost.error.code == 5, lost

names = [submit(source).name for _ in range(4)]
listed = [job.name for job in client.batches.list(config={"page_size": 2})]
assert listed[:4] == names[::-1] and len(set(listed)) == len(listed) == 7, listed
client.batches.cancel(name=names[0])
assert wait(names[0]).state.name == "JOB_STATE_CANCELLED"
stranger = genai.Client(vertexai=True, project="tests", location="us-central1",
                        credentials=google.oauth2.credentials.Credentials("sk-wrong"),
                        http_options=types.HttpOptions(base_url=url))
try:
    stranger.batches.get(name=names[1])
    raise AssertionError("a wrong token was not refused")
except errors.APIError as caught:
    assert caught.code == 401, caught

blob = bucket.blob("a folder/requests.jsonl")
blob.delete()
assert not blob.exists()

answer = client.models.generate_content(model="gemini-x", contents="100")
assert answer.text == "gemini-x: 100" and answer.usage_metadata.prompt_token_count == 101
print("google-cloud-storage", google.cloud.storage.__version__, "google-genai", genai.__version__)
