import SheafCore
import SheafTestTools
import Testing

@testable import SheafFlows

/// Models that a cloud runs: their formats, addresses and credentials.
@Suite("Chats with models of a cloud", .timeLimit(.minutes(2))) struct CloudChatTests {
    private static let task = FlowTask(
        batch: "b",
        index: 0,
        record: Record(id: "r", kind: .json, bytes: Array(#"{"text": "hi", "model": "m"}"#.utf8))
    )

    private func flow(
        _ provider: ChatProvider,
        url: String? = nil,
        key: String? = nil,
        model: String = "m",
        options: JSONValue = [:],
        messages: JSONValue = [["role": "user", "content": "{{text}}"]],
        _ change: (inout CloudOptions) -> Void = { _ in }
    ) throws(FlowConfigurationProblem) -> ChatFlow {
        var cloud = CloudOptions()
        if provider == .vertex {
            (cloud.project, cloud.location, cloud.credentials) = ("p-1", "us-central1", "/key.json")
        } else {
            (cloud.region, cloud.accessKey, cloud.secretKey) = ("eu-west-1", "id", "secret")
        }
        change(&cloud)
        return try ChatFlow(
            provider: provider,
            baseURL: url,
            cloud: cloud,
            key: key,
            model: model,
            messages: messages,
            options: options
        )
    }

    private func problem(_ make: () throws(FlowConfigurationProblem) -> ChatFlow) -> String? {
        do throws(FlowConfigurationProblem) {
            _ = try make()
            return nil
        } catch {
            return error.description
        }
    }

    @Test("The address follows from the location or the region")
    func addresses() throws {
        let google = [
            "us-central1": "https://us-central1-aiplatform.googleapis.com",
            "global": "https://aiplatform.googleapis.com", "eu": "https://aiplatform.eu.rep.googleapis.com",
        ]
        for (location, host) in google {
            let flow = try flow(.vertex) { $0.location = location }
            #expect(flow.service.base == "\(host)/v1/projects/p-1/locations/\(location)")
            #expect(flow.cloud?.storageURL == "https://storage.googleapis.com")
        }
        for url in ["http://h:1", "http://h:1/", "http://h:1/v1"] {
            #expect(try flow(.vertex, url: url).service.base == "http://h:1/v1/projects/p-1/locations/us-central1")
        }
        let amazon = try flow(.bedrock)
        #expect(amazon.service.base == "https://bedrock-runtime.eu-west-1.amazonaws.com")
        #expect(amazon.cloud?.jobsURL == "https://bedrock.eu-west-1.amazonaws.com")
        #expect(amazon.cloud?.storageURL == "https://s3.eu-west-1.amazonaws.com")
        #expect(amazon.cloud?.minimumRecords == 100)
        let china = try flow(.bedrock) { $0.region = "cn-north-1" }
        #expect(china.cloud?.storageURL == "https://s3.cn-north-1.amazonaws.com.cn")
    }

    @Test("What is missing or does not fit is reported at its key")
    func problems() {
        let cases: [(ChatProvider, String, (inout CloudOptions) -> Void)] = [
            (.vertex, "project", { $0.project = nil }), (.vertex, "project", { $0.project = "a/b" }),
            (.vertex, "location", { $0.location = "x.y/" }), (.vertex, "credentials", { $0.credentials = nil }),
            (.vertex, "storage", { $0.storage = "s3://bucket/f" }),
            (.vertex, "storage", { $0.storage = "gs://bucket/a b" }),
            (.vertex, "output_storage", { $0.outputStorage = "gs://bucket" }),
            (.vertex, "region", { $0.region = "r" }), (.vertex, "storage_url", { $0.storageURL = "h" }),
            (.bedrock, "region", { $0.region = nil }), (.bedrock, "region", { $0.region = "h/.com" }),
            (.bedrock, "access_key", { $0.accessKey = nil }), (.bedrock, "secret_key", { $0.secretKey = nil }),
            (.bedrock, "project", { $0.project = "p" }), (.bedrock, "jobs_url", { $0.jobsURL = "h" }),
        ]
        for (provider, key, change) in cases {
            let problem = problem { () throws(FlowConfigurationProblem) in try flow(provider, change) }
            #expect(problem?.hasPrefix("\(key): ") == true, "\(key): \(problem ?? "none")")
        }
        let keys = [
            problem { () throws(FlowConfigurationProblem) in try flow(.vertex, key: "k") }: "credentials",
            problem { () throws(FlowConfigurationProblem) in try flow(.bedrock, key: "k") }: "api_key",
            problem { () throws(FlowConfigurationProblem) in
                let options: JSONValue = ["response_format": ["type": "json_object"]]
                return try flow(.bedrock, model: "anthropic.claude-x", options: options)
            }: "options.response_format",
        ]
        for (problem, key) in keys { #expect(problem?.hasPrefix("\(key): ") == true, "\(problem ?? "none")") }
        #expect(StorageFolder("gs://bucket", scheme: "gs")?.uri("a/b") == "gs://bucket/a/b")
        #expect(StorageFolder("gs://bucket/x/", scheme: "gs")?.uri("a") == "gs://bucket/x/a")
    }

    @Test("A model decides the path and the format; another name cannot lead elsewhere")
    func models() throws {
        func request(_ provider: ChatProvider, _ model: String) throws -> ModelRequest {
            try flow(provider, model: model, options: ["max_tokens": 5]).request(for: Self.task)
        }
        #expect(try request(.vertex, "gemini-x").path == "/publishers/google/models/gemini-x:generateContent")
        let claude = try request(.vertex, "claude-x@20250101")
        #expect(claude.path == "/publishers/anthropic/models/claude-x@20250101:rawPredict")
        #expect(claude.body["anthropic_version"] == "vertex-2023-10-16" && claude.body["model"] == nil)
        #expect(claude.body["max_tokens"] == 5 && claude.model == "claude-x@20250101")
        for model in ["../x", "a/b", "publishers/other/models/x", "x:y", ""] where !model.isEmpty {
            #expect(throws: FlowError.self) { try request(.vertex, model) }
        }
        let nova = try request(.bedrock, "amazon.nova-lite-v1:0")
        #expect(nova.path == "/model/amazon.nova-lite-v1%3A0/converse")
        let messages: JSONValue = [["role": "user", "content": [["text": "hi"]]]]
        #expect(nova.body == ["messages": messages, "inferenceConfig": ["maxTokens": 5]])
        let profile = try request(.bedrock, "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x-v1:0")
        #expect(profile.path.hasSuffix("%2Fus.anthropic.claude-x-v1%3A0/invoke"))
        #expect(profile.body["anthropic_version"] == "bedrock-2023-05-31")
        for model in ["../x", "a b", "a//b", "a?b"] { #expect(throws: FlowError.self) { try request(.bedrock, model) } }
    }

    @Test("Messages in OpenAI's format are converted for Bedrock's Converse")
    func converse() throws {
        let call: JSONValue = ["id": "c", "type": "function", "function": ["name": "f", "arguments": #"{"n":1}"#]]
        let picture: JSONValue = ["type": "image_url", "image_url": ["url": "data:image/png;base64,AA=="]]
        let tool: JSONValue = ["type": "function", "function": ["name": "f"]]
        let body = try flow(
            .bedrock,
            options: ["stop": "x", "tool_choice": "required", "tools": [tool]],
            messages: [
                ["role": "system", "content": "s"],
                ["role": "user", "content": [["type": "text", "text": "t"], picture]],
                ["role": "assistant", "content": .null, "tool_calls": [call]],
                ["role": "tool", "tool_call_id": "c", "content": #"{"r":2}"#],
            ]
        ).request(for: Self.task).body
        #expect(body["system"] == [["text": "s"]])
        #expect(body["inferenceConfig"] == ["stopSequences": ["x"]])
        #expect(body["toolConfig"]?["toolChoice"] == ["any": [:]])
        let messages = try #require(body["messages"]?.arrayValue)
        #expect(
            messages[0]["content"]
                == [["text": "t"], ["image": ["format": "png", "source": ["bytes": "AA=="]]]]
        )
        #expect(messages[1]["content"] == [["toolUse": ["toolUseId": "c", "name": "f", "input": ["n": 1]]]])
        #expect(messages[2]["content"] == [["toolResult": ["toolUseId": "c", "content": [["json": ["r": 2]]]]]])
    }

    @Test("A key file that cannot be used is reported without a request, and no message shows a key")
    func keyFiles() async throws {
        try await Workbench.with(configuration: "") { bench in
            let cases = [
                ("{", "is not JSON"), ("{}", "names no type"),
                (#"{"type": "authorized_user"}"#, "of the type 'authorized_user'"),
                (#"{"type": "service_account"}"#, "has no client_email or no private_key"),
                (
                    #"{"type": "service_account", "client_email": "a", "private_key": "SECRET"}"#,
                    "is not an RSA key of 2048 bits or more in PEM"
                ),
            ]
            for (number, (text, message)) in cases.enumerated() {
                try bench.write(text, to: "\(number).json")
                let flow = try flow(.vertex) { $0.credentials = "\(bench.folder)/\(number).json" }
                let error = await #expect(throws: FlowError.self) { try await flow.run(Self.task) }
                #expect(error?.type == "credentials" && error?.message.contains(message) == true, "\(message)")
                #expect(error?.message.contains("SECRET") == false)
                #expect(flow.examine().problem == error?.message)
                await flow.shutDown()
            }
            let none = try flow(.vertex) { $0.credentials = "\(bench.folder)/none.json" }
            #expect(none.examine().problem?.hasSuffix("none.json: No such file or directory") == true)
        }
    }
}
