import SheafCore
import SheafFlows
import Testing

@testable import SheafSettings

/// Reading the kinds of flow, and the messages for mistakes in them.
@Suite struct FlowKindTests {
    private static func yaml(_ flow: String) -> String {
        "flows:\n  f:\n" + flow.split(separator: "\n").map { "    \($0)\n" }.joined()
    }

    private static func flow(_ yaml: String, _ environment: [String: String] = [:]) throws -> FlowSettings {
        let settings = try SettingsFixtures.load(Self.yaml(yaml), environment: environment)
        return try settings.flow(named: "f")
    }

    @Test("A process flow has a command, a folder, variables and a limit of tasks") func processFlow() throws {
        let settings = try Self.flow(
            """
            process: [python3, -u, worker.py]
            directory: scripts
            environment: { A: "1" }
            max_tasks: 500
            max_output: 2KiB
            """
        )
        let flow = try #require(settings.flow as? ProcessFlow)
        #expect(flow.arguments == ["-u", "worker.py"])
        #expect(flow.maximumTasks == 500 && flow.maximumOutput == 2048)
        #expect(settings.timeout == nil)
    }

    @Test("Flows that call services have a time-out by default") func requestsHaveATimeOut() throws {
        #expect(try Self.flow("http: { url: \"https://host/{{id}}\" }").timeout == .seconds(60))
        #expect(try Self.flow("http: { url: \"https://host/{{id}}\" }\ntimeout: 5s").timeout == .seconds(5))
        let chat = try Self.flow("chat: { model: m, prompt: \"{{text}}\" }")
        #expect(chat.flow is ChatFlow && chat.timeout == .seconds(600))
        let embedding = try Self.flow("embedding: { model: m, input: \"{{text}}\" }")
        #expect(embedding.flow is EmbeddingFlow && embedding.timeout == .seconds(60))
    }

    @Test("An http flow reads all of its keys and reports missing variables") func everyKeyOfARequest() throws {
        let flow = try Self.flow(
            """
            http:
              url: "https://host/{{id}}?key=${KEY}"
              method: PUT
              headers: { Authorization: "Bearer ${TOKEN}", X-Number: 5 }
              body: { text: "{{text}}", list: ["{{a}}", 1] }
              response: raw
              redirects: 0
              private_addresses: true
            retry_on: [connection, http-503, timeout]
            """,
            ["KEY": "k"]
        )
        #expect(flow.flow is HTTPFlow)
        #expect(flow.missingVariables == ["TOKEN"])
    }

    @Test("A chat flow reads all of its keys") func everyKeyOfAChat() throws {
        let flow = try Self.flow(
            """
            chat:
              provider: anthropic
              base_url: http://127.0.0.1:8080
              api_key: ${KEY}
              model: "{{parameters.model}}"
              messages: [{ role: user, content: "${NOT_A_VARIABLE} {{text}}" }]
              options: { temperature: 0.5, tools: [{ name: t, input_schema: { type: object } }] }
              headers: { X-Project: p }
            """,
            ["KEY": "k"]
        )
        #expect(flow.missingVariables.isEmpty)
    }

    @Test("A secret that is not set causes a warning") func unsetSecretIsAWarning() throws {
        let yaml = Self.yaml("chat: { model: m, prompt: x, api_key: \"${KEY}\" }")
        let settings = try SettingsFixtures.load(yaml)
        let warning =
            "sheaf.yaml:3: flows.f.chat: the environment variable 'KEY' is not set; a worker needs it to run this flow"
        #expect(settings.warnings.map(\.description) == [warning])
    }

    @Test("Programs do not see the secrets of other flows") func programsDoNotSeeTheSecretsOfOtherFlows() throws {
        let yaml = "flows:\n  p: { exec: [env] }\n  c: { chat: { model: m, prompt: x, api_key: \"${KEY}\" } }"
        let settings = try SettingsFixtures.load(yaml, environment: ["KEY": "k"])
        let flow = try #require(settings.flow(named: "p").flow as? ExecFlow)
        #expect(flow.withheldVariables == ["KEY", "SHEAF_BROKER"])
    }

    /// Each entry stands below `f:`; the message begins with its line.
    @Test(
        "An error in a kind of flow names the place and the cause",
        arguments: [
            ("process: python3", "3: flows.f.process: expected a list with a program and its arguments"),
            ("process: []", "3: flows.f.process: it is empty; the first item is the program"),
            ("process: [a, \"{{b}}\"]", "3: flows.f.process[1]: templates are not allowed here"),
            ("process: [a]\nmax_tasks: 0", "4: flows.f.max_tasks: expected an integer of at least 1"),
            ("exec: [a]\nmax_tasks: 5", "4: flows.f.max_tasks: only a flow with process can have this key"),
            (
                "http: { url: \"http://h/\" }\ndirectory: x",
                "4: flows.f.directory: only a flow with exec or process can have"
            ),
            ("process: [a]\nexec: [a]", "2: flows.f: it has both exec and process; a flow does one thing"),
            ("http: http://host", "3: flows.f.http: expected a map, found 'http://host'"),
            ("http: { }", "3: flows.f.http: it has no url"),
            ("http: { urll: x }", "3: flows.f.http.urll: unknown key; did you mean 'url'?"),
            ("http: { url: x }", "3: flows.f.http.url: expected a URL such as https://host/path"),
            (
                "http:\n  url: http://h/\n  headers: { \"a b\": x }",
                "5: flows.f.http.headers.a b: that is not a valid name of a header"
            ),
            ("http: { url: \"http://h/\", method: \"G T\" }", "3: flows.f.http.method: 'G T' is not a method"),
            (
                "http: { url: \"http://h/\", response: xml }",
                "3: flows.f.http.response: expected one of auto, json, raw, found 'xml'"
            ),
            (
                "http: { url: \"http://h/\", redirects: -1 }",
                "3: flows.f.http.redirects: expected an integer of at least 0"
            ),
            ("http: { url: \"http://h/{{\" }", "3: flows.f.http.url: the tag '{{' is not closed"),
            (
                "process: [a]\nretry_on: [mine, worker-lost]",
                "4: flows.f.retry_on[1]: 'worker-lost' does not depend on retry_on"
            ),
            (
                "http: { url: \"http://h/\" }\nretry_on: [http-99]",
                "4: flows.f.retry_on[0]: 'http-99' is not an error type"
            ),
            ("chat: { prompt: x }", "3: flows.f.chat: it has no model"),
            ("chat: { model: m }", "3: flows.f.chat: it has no prompt"),
            (
                "chat: { model: m, messages: [{ role: user }], system: x }",
                "3: flows.f.chat.system: it cannot stand beside messages"
            ),
            ("chat: { model: m, messages: [{ content: x }] }", "3: flows.f.chat.messages[0]: the message has no role"),
            (
                "chat: { model: m, prompt: x, provider: other }",
                "3: flows.f.chat.provider: expected one of openai, anthropic, gemini, mistral"
            ),
            ("chat: { model: m, prompt: x, options: 5 }", "3: flows.f.chat.options: expected a map"),
            ("chat: { model: m, prompt: x, base_url: nowhere }", "3: flows.f.chat.base_url: expected a URL such as"),
            ("chat: { model: m, prompt: x, temperature: 1 }", "3: flows.f.chat.temperature: unknown key"),
            ("embedding: { model: m }", "3: flows.f.embedding: it has no input"),
            (
                "embedding: { model: m, input: { a: b } }",
                "3: flows.f.embedding.input: expected a string or a list of strings"
            ),
        ]
    )
    func namesPlaceAndCause(flow: String, message: String) throws {
        let error = try SettingsFixtures.error(Self.yaml(flow))
        #expect(error.hasPrefix("sheaf.yaml:" + message), "\(error)")
    }
}
