"""Drives the imitation of Bedrock with AWS's own library, which signs all requests: URL KEY"""
import io, json, sys, time
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

url, key = sys.argv[1:]


def client(name, secret=key):
    # Otherwise S3 is sent a body in chunks, with a check sum after it.
    config = Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required",
                    s3={"addressing_style": "path"})
    return boto3.client(name, endpoint_url=url, region_name="us-east-1", aws_access_key_id=key,
                        aws_secret_access_key=secret, config=config)


s3, bedrock, runtime = client("s3"), client("bedrock"), client("bedrock-runtime")
ROLE = "arn:aws:iam::123456789012:role/batches"


def body(number):
    return {"messages": [{"role": "user", "content": [{"text": str(number)}]}]}


def submit(token, source="s3://tests-sdk/a folder/requests.jsonl", **more):
    named = {"jobName": token, "clientRequestToken": token, "roleArn": ROLE, "modelId": "nova-x:0",
             "modelInvocationType": "Converse", **more}
    return bedrock.create_model_invocation_job(
        inputDataConfig={"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": source}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://tests-sdk/out/"}}, **named)["jobArn"]


def wait(arn):
    while True:
        job = bedrock.get_model_invocation_job(jobIdentifier=arn)
        if job["status"] in ("Completed", "Failed", "Stopped", "Expired"):
            return job
        time.sleep(0.02)


def refused(code, call, **named):
    try:
        call(**named)
    except ClientError as caught:
        assert caught.response["Error"]["Code"] == code, caught.response
        return
    raise AssertionError(f"{call} was not refused")


lines = [{"recordId": f"id {number}", "modelInput": body(number)} for number in range(20)]
s3.put_object(Bucket="tests-sdk", Key="a folder/requests.jsonl",
              Body="".join(json.dumps(line) + "\n" for line in lines).encode())
arn = submit("first")
assert arn.startswith("arn:aws:bedrock:us-east-1:") and submit("first") == arn, "a token is valid once"
job = wait(arn)
assert job["status"] == "Completed" and job["processedRecordCount"] == 20 and job["errorRecordCount"] == 2, job
folder = f"out/{arn.split('/')[-1]}"
rows = [json.loads(row) for row in
        s3.get_object(Bucket="tests-sdk", Key=f"{folder}/requests.jsonl.out")["Body"].read().splitlines()]
# The order is that of the requests. The 4th is refused, the 8th fails the first time, and the 12th has no result.
assert [row["recordId"] for row in rows] == [f"id {number}" for number in range(20) if number != 11]
assert [row["error"]["errorCode"] for row in rows if "error" in row] == [400, 500]
assert rows[0]["modelOutput"]["output"]["message"]["content"] == [{"text": "nova-x:0: 0"}]
manifest = json.load(s3.get_object(Bucket="tests-sdk", Key=f"{folder}/manifest.json.out")["Body"])
assert manifest["successRecordCount"] == 18, manifest

arns = [submit(f"token{number}") for number in range(4)]
listed, token = [], {}
while True:
    page = bedrock.list_model_invocation_jobs(maxResults=3, nameContains="token", **token)
    listed += [job["jobArn"] for job in page["invocationJobSummaries"]]
    if "nextToken" not in page:
        break
    token = {"nextToken": page["nextToken"]}
assert listed == arns[::-1], listed
bedrock.stop_model_invocation_job(jobIdentifier=arns[0])
assert wait(arns[0])["status"] == "Stopped"
assert wait(submit("lost", "s3://tests-sdk/none.jsonl"))["status"] == "Failed"
refused("ResourceNotFoundException", bedrock.get_model_invocation_job,
        jobIdentifier="arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl")
refused("ValidationException", lambda: submit("claude", modelId="anthropic.claude-x"))
refused("SignatureDoesNotMatch", client("s3", "wrong").get_object, Bucket="tests-sdk", Key="x")
refused("SignatureDoesNotMatch", client("bedrock", "wrong").get_model_invocation_job, jobIdentifier=arn)
refused("NoSuchKey", s3.get_object, Bucket="tests-sdk", Key="none")
s3.delete_object(Bucket="tests-sdk", Key="a folder/requests.jsonl")
refused("NoSuchKey", s3.get_object, Bucket="tests-sdk", Key="a folder/requests.jsonl")

answer = runtime.converse(modelId="nova-x:0", **body(100))
assert answer["output"]["message"]["content"] == [{"text": "nova-x:0: 100"}] and answer["usage"]["inputTokens"] == 101
claude = runtime.invoke_model(modelId="us.anthropic.claude-x:0", body=json.dumps({
    "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "101"}]}))
assert json.load(claude["body"])["content"][0]["text"] == "claude: 101"
print("boto3", boto3.__version__)
