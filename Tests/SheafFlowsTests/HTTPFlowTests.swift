import SheafCore
import SheafTestTools
import Testing

@testable import SheafFlows

/// Requests as a server receives them, and the outputs and failures that its answers become.
@Suite(.timeLimit(.minutes(2))) struct HTTPFlowTests {
    /// Sends one request and shuts the flow down.
    private func answer(_ flow: HTTPFlow, _ task: FlowTask) async throws -> FlowOutput {
        do {
            let output = try await flow.run(task)
            await flow.shutDown()
            return output
        } catch {
            await flow.shutDown()
            throw error
        }
    }

    private func echoed(_ flow: HTTPFlow, _ json: String) async throws -> JSONValue {
        try JSON.parse(await answer(flow, FlowFixtures.task(json: json)).json)
    }

    @Test("Values are encoded for the URL, the headers and the body")
    func encoding() async throws {
        try await ModelServer.with { server in
            let flow = try HTTPFlow(
                url: "\(server.url)/echo?q={{text}}&raw={{{path}}}&key=${KEY}",
                headers: [("X-Text", "<{{text}}>"), ("Authorization", "Bearer ${KEY}")],
                body: .json(["text": "{{text}}", "all": "{{record}}", "both": "{{n}}-{{path}}", "n": "{{n}}"]),
                variables: ["KEY": "a b&c"]
            )
            let json = #"{"text": "ä &\"\r\nEvil: 1", "path": "a/b", "n": 5}"#
            let got = try await echoed(flow, json)
            #expect(got["method"] == "POST")
            #expect(got["path"] == "/echo?q=%C3%A4%20%26%22%0D%0AEvil%3A%201&raw=a/b&key=a%20b%26c")
            #expect(got["headers"]?["evil"] == nil)
            #expect(got["headers"]?["x-text"]?.stringValue?.contains("Evil: 1>") == true)
            #expect(got["headers"]?["authorization"] == "Bearer a b&c")
            #expect(got["headers"]?["content-type"] == "application/json")
            let body = try JSON.parse(try #require(got["body"]?.stringValue))
            #expect(body["text"] == "ä &\"\r\nEvil: 1")
            #expect(body["all"] == (try JSON.parse(json)))
            #expect(body["both"] == "5-a/b")
            #expect(body["n"] == 5)
        }
    }

    @Test("Values in a body of JSON text are escaped")
    func jsonText() async throws {
        try await ModelServer.with { server in
            let flow = try HTTPFlow(
                url: "\(server.url)/echo",
                headers: [("Content-Type", "application/json")],
                body: .text(#"{"text": "{{text}}", "n": {{n}}, "list": {{list}}}"#)
            )
            let got = try await echoed(flow, #"{"text": "a\"b\n", "n": 1, "list": [1, "x"]}"#)
            let body = try JSON.parse(try #require(got["body"]?.stringValue))
            #expect(body == ["text": "a\"b\n", "n": 1, "list": [1, "x"]])
            let flow2 = try HTTPFlow(
                url: "\(server.url)/echo",
                headers: [("Content-Type", "application/json")],
                body: .text(#"{"n": {{n}}}"#)
            )
            let error = try #require(
                await #expect(throws: FlowError.self) { try await echoed(flow2, #"{"n": "1, \"admin\": true"}"#) }
            )
            #expect(error.type == "template")
        }
    }

    @Test(
        "An answer becomes JSON or a string, depending on `response`",
        arguments: [
            (HTTPFlow.Response.auto, "/echo", true), (.json, "/echo", true), (.raw, "/echo", false),
            (.auto, "/big?bytes=3", false),
        ]
    )
    func response(response: HTTPFlow.Response, path: String, isJSON: Bool) async throws {
        try await ModelServer.with { server in
            let output = try await answer(
                HTTPFlow(url: server.url + path, response: response),
                FlowFixtures.task(json: "1")
            )
            if case .json = output { #expect(isJSON) } else { #expect(!isJSON) }
        }
    }

    @Test("Answers of the wrong format or size fail the task")
    func wrongAnswers() async throws {
        try await ModelServer.with { server in
            let task = try FlowFixtures.task(json: "1")
            func failure(_ flow: HTTPFlow) async throws -> FlowError {
                try #require(await #expect(throws: FlowError.self) { try await answer(flow, task) })
            }
            let big = try await failure(HTTPFlow(url: "\(server.url)/big?bytes=2000", maximumOutput: 1000))
            #expect(big.type == "output-too-large" && !big.isRetryable)
            #expect(
                try await failure(HTTPFlow(url: "\(server.url)/big?bytes=9", response: .json)).type == "output-not-json"
            )
            #expect(try await failure(HTTPFlow(url: "\(server.url)/bytes")).type == "output-not-text")
        }
    }

    @Test(
        "A status other than 2xx fails the task",
        arguments: [(400, false), (404, false), (408, true), (425, true), (500, true), (503, true)]
    )
    func statusCodes(code: Int, isRetryable: Bool) async throws {
        try await ModelServer.with { server in
            let flow = try HTTPFlow(
                url: "\(server.url)/status?code=\(code)",
                headers: [("Authorization", "${KEY}")],
                variables: ["KEY": "top-secret"]
            )
            let task = try FlowFixtures.task(json: "1")
            let error = try #require(await #expect(throws: FlowError.self) { try await answer(flow, task) })
            #expect(error.type == "http-\(code)" && error.isRetryable == isRetryable)
            #expect(error.message.hasPrefix("GET \(server.url)/status answered \(code) "))
            #expect(error.message.hasSuffix(": you sent ***"))
        }
    }

    @Test(
        "429, or a retryable status with Retry-After, is a throttle",
        arguments: [
            ("code=429", nil), ("code=429&after=2", Duration.seconds(2)), ("code=503&after=0.5", .milliseconds(500)),
            ("code=429&after=Mon,%2001%20Jan%201990%2000:00:00%20GMT", .zero),
        ] as [(String, Duration?)]
    )
    func throttle(query: String, delay: Duration?) async throws {
        try await ModelServer.with { server in
            let flow = try HTTPFlow(url: "\(server.url)/status?\(query)")
            let task = try FlowFixtures.task(json: "1")
            let throttle = try #require(await #expect(throws: FlowThrottle.self) { try await answer(flow, task) })
            #expect(throttle.delay == delay)
        }
    }

    @Test("A failed connection is a retryable failure")
    func failedConnections() async throws {
        try await ModelServer.with { server in
            let task = try FlowFixtures.task(json: "1")
            for url in ["\(server.url)/hangup", "http://127.0.0.1:1/", "http://no-such-host.invalid/"] {
                let flow = try HTTPFlow(url: url)
                let error = try #require(await #expect(throws: FlowError.self) { try await answer(flow, task) })
                #expect(error.type == "connection" && error.isRetryable, "\(url)")
                #expect(error.message.hasPrefix("GET \(url): "), "\(error.message)")
            }
        }
    }

    @Test("A server that never answers runs into the time-out")
    func silentServer() async throws {
        try await ModelServer.with { server in
            let flow = try HTTPFlow(url: "\(server.url)/silent")
            let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: flow, timeout: .milliseconds(300))
            let result = await definition.attempt(try FlowFixtures.task(json: "1"))
            #expect(
                result == .failure(FlowError(type: "timeout", message: "ran longer than 300 ms", isRetryable: true))
            )
            await flow.shutDown()
        }
    }

    @Test("A missing field fails the task and names the key")
    func missingField() async throws {
        let flow = try HTTPFlow(url: "http://127.0.0.1:1/{{nope}}")
        let task = try FlowFixtures.task(json: #"{"a": 1}"#)
        let error = try #require(await #expect(throws: FlowError.self) { try await flow.run(task) })
        #expect(error.type == "template" && !error.isRetryable)
        #expect(
            error.message
                == "url is 'http://127.0.0.1:1/{{nope}}', but the record 'r1' has no field 'nope'; there are: a"
        )
    }

    @Test(
        "Invalid definitions are rejected",
        arguments: [
            ("ftp://host/", "url: expected a URL such as https://host/path, without user and password"),
            ("https://user:pw@host/", "url: expected a URL such as https://host/path, without user and password"),
            ("ftp://host/{{x}}", "url: expected a URL that begins with http:// or https://"),
            ("http://host/${", "url: '${' is not closed by '}'"),
        ]
    )
    func invalidDefinitions(url: String, message: String) {
        let problem = #expect(throws: FlowConfigurationProblem.self) { try HTTPFlow(url: url) }
        #expect(problem?.description == message)
    }
}
