"""Drives the imitation of Mistral with Mistral's own library: URL KEY"""
import json, sys, time
import mistralai.client
from mistralai.client import Mistral

url, key = sys.argv[1:]
client = Mistral(api_key=key, server_url=f"{url}/mistral")
ENDPOINT = "/v1/chat/completions"


def upload(content):
    return client.files.upload(file={"file_name": "requests.jsonl", "content": content}, purpose="batch")


def wait(id):
    while True:
        job = client.batch.jobs.get(job_id=id)
        if job.status in ("SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"):
            return job
        time.sleep(0.02)


def rows(job):
    return [json.loads(row) for id in (job.output_file, job.error_file) if id
            for row in client.files.download(file_id=id).read().splitlines()]


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except mistralai.client.errors.SDKError as caught:
        assert caught.status_code == status, caught
        return caught.body
    except mistralai.client.errors.HTTPValidationError as caught:
        assert status == 422, caught
        return caught.body
    raise AssertionError(f"{call} was not refused")


content = "".join(json.dumps({"custom_id": f"request {number} ü", "body": {
    "messages": [{"role": "user", "content": str(number)}]}}) + "\n" for number in range(20)).encode()
file = upload(content)
assert file.size_bytes == len(content) and file.purpose == "batch" and file.num_lines == 20, file
# The lines are checked at once.
assert "body" in refused(422, upload, b'{"custom_id":"a"}\n')

job = client.batch.jobs.create(input_files=[file.id], model="m", endpoint=ENDPOINT, metadata={"key": "value"})
assert job.status == "QUEUED" and job.metadata == {"key": "value"} and job.input_files == [file.id], job
job = wait(job.id)
assert job.status == "SUCCESS" and job.total_requests == job.completed_requests == 20, job
assert (job.succeeded_requests, job.failed_requests) == (18, 2), job
assert {error.message for error in job.errors} == {"3 is not to my taste", "it broke"}, job.errors
found = rows(job)
# The 4th is refused, the 8th fails the first time, and the 12th has no result.
assert sorted(row["response"]["status_code"] for row in found) == [200] * 17 + [400, 500]
assert all(isinstance(row["response"]["body"], dict if row["response"]["status_code"] == 200 else str) for row in found)
assert {row["custom_id"] for row in found} == {f"request {number} ü" for number in range(20) if number != 11}

ids = [client.batch.jobs.create(input_files=[file.id], model="m", endpoint=ENDPOINT).id for _ in range(4)]
page = client.batch.jobs.list(page=0, page_size=2, order_by="-created")
assert [job.id for job in page.data] == ids[:1:-1] and page.total == 5, page
assert [job.id for job in client.batch.jobs.list(page=1, page_size=2).data] == ids[1::-1]
assert client.batch.jobs.cancel(job_id=ids[0]).status == "CANCELLATION_REQUESTED"
assert wait(ids[0]).status == "CANCELLED"
assert client.files.delete(file_id=file.id).deleted
refused(404, client.files.delete, file_id=file.id)
refused(404, client.batch.jobs.get, job_id="none")
refused(401, Mistral(api_key="sk-wrong", server_url=f"{url}/mistral").batch.jobs.list)

answer = client.chat.complete(model="m", messages=[{"role": "user", "content": "100"}])
assert answer.choices[0].message.content == "m: 100" and answer.usage.prompt_tokens == 101
assert [entry.embedding[0] for entry in client.embeddings.create(model="e", inputs=["101", "102"]).data] == [101, 102]
print("mistralai", mistralai.client.__version__)
