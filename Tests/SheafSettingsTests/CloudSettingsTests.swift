import SheafCore
import SheafFlows
import SheafProviders
import Testing

@testable import SheafSettings

/// Reading `chat` for models that a cloud runs.
@Suite struct CloudSettingsTests {
    private static let vertex = "provider: vertex, model: m, prompt: x, project: p, location: us-central1"
    private static let bedrock = "provider: bedrock, model: m, prompt: x, region: us-east-1"

    private static func yaml(_ chat: String, _ more: String = "") -> String {
        "flows:\n  f:\n    chat: { \(chat) }\n\(more)"
    }

    @Test("Without credentials, the usual variables of each cloud are used, and are no part of other flows' programs")
    func variables() throws {
        func missing(_ chat: String, _ environment: [String: String] = [:]) throws -> [String] {
            try SettingsFixtures.load(Self.yaml(chat), environment: environment).flow(named: "f").missingVariables
        }
        #expect(try missing(Self.vertex) == ["GOOGLE_APPLICATION_CREDENTIALS"])
        #expect(try missing(Self.vertex, ["GOOGLE_APPLICATION_CREDENTIALS": "/x"]) == [])
        #expect(try missing("\(Self.vertex), credentials: x.json") == [])
        #expect(try missing("\(Self.vertex), api_key: \"${TOKEN}\"") == ["TOKEN"])
        #expect(try missing(Self.bedrock) == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
        #expect(try missing("\(Self.bedrock), access_key: \"${A}\", secret_key: \"${B}\"") == ["A", "B"])
        let keys = ["AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"]
        #expect(try missing(Self.bedrock, keys) == [])
    }

    @Test("A path of a key file is one of the configuration, and a variable's is shown in messages")
    func keyFile() throws {
        let settings = try SettingsFixtures.load(
            Self.yaml(Self.vertex),
            environment: ["GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"]
        )
        let flow = try #require(try settings.flow(named: "f").flow as? ChatFlow)
        #expect(flow.examine().problem == "cannot read the key file /nowhere/key.json: No such file or directory")
        #expect(flow.examine().use.hasSuffix("aiplatform.googleapis.com/v1/projects/p/locations/us-central1"))
        let relative = try SettingsFixtures.load(Self.yaml("\(Self.vertex), credentials: key.json"))
        let other = try #require(try relative.flow(named: "f").flow as? ChatFlow)
        #expect(other.examine().problem?.contains("/key.json: ") == true)
    }

    @Test("bulk needs folders, and Bedrock a role; the limits are those of the provider")
    func bulk() throws {
        let bulk = "    bulk: { max_bytes: 1GB }\n"
        let google = "\(Self.vertex), storage: \"gs://bucket/f\""
        let flow = try SettingsFixtures.load(Self.yaml(google, bulk)).flow(named: "f").flow as? SubmissionFlow
        #expect(flow?.maximumTasks == 180_000)
        let amazon = "\(Self.bedrock), storage: \"s3://bucket/f\", role: r, minimum_records: 5"
        let other = try SettingsFixtures.load(Self.yaml(amazon, bulk)).flow(named: "f").flow as? SubmissionFlow
        #expect(other?.maximumTasks == 45_000)
        let errors = [
            (Self.vertex, "chat: it has no storage, which bulk needs; set a folder such as gs://BUCKET/FOLDER"),
            (Self.bedrock, "chat: it has no storage, which bulk needs; set a folder such as s3://BUCKET/FOLDER"),
            ("\(Self.bedrock), storage: \"s3://bucket\"", "chat: it has no role, which bulk needs"),
            ("\(Self.vertex), storage: \"b/f\"", "chat.storage: expected a folder such as gs://BUCKET/FOLDER"),
            ("\(Self.vertex), region: us-east-1", "chat.region: only provider: bedrock has it"),
            ("model: m, prompt: x, storage: s", "chat.storage: only provider: vertex and bedrock have it"),
            ("provider: vertex, model: m, prompt: x, project: p", "chat: location: it is missing"),
        ]
        for (chat, message) in errors {
            let error = try SettingsFixtures.error(Self.yaml(chat, "    bulk: true\n"))
            #expect(error.hasPrefix("sheaf.yaml:3: flows.f.\(message)"), "\(error)")
        }
        let live = try SettingsFixtures.load(Self.yaml(Self.vertex, "    bulk: false\n")).flow(named: "f")
        #expect(live.flow is ChatFlow)
    }

    @Test("The error types of submissions can be retried")
    func errorTypes() throws {
        let more = "    retry_on: [credentials, request-too-large, results-gone, submission-too-small]\n"
        _ = try SettingsFixtures.load(Self.yaml(Self.bedrock, more))
    }
}
