import SheafCore
import SheafFlows
import SheafProviders

extension Decoder {
    /// Checks that any line of results has at most one meaning, and that any state can be followed.
    func checkProviders(_ bytes: [UInt8]) throws {
        let prompt: JSONValue = [["role": "user", "content": "{{n}}"]]
        let chat = OpenAIBatches(try ChatFlow(baseURL: "http://h/v1", model: "m", messages: prompt))
        let messages = AnthropicBatches(
            try ChatFlow(provider: .anthropic, baseURL: "http://h", model: "m", messages: prompt)
        )
        let gemini = GeminiBatches(
            try ChatFlow(provider: .gemini, baseURL: "http://h", model: "m", messages: prompt)
        )
        let mistral = MistralBatches(
            try ChatFlow(provider: .mistral, baseURL: "http://h/v1", model: "m", messages: prompt)
        )
        var cloud = CloudOptions()
        (cloud.project, cloud.location) = ("p", "l")
        let vertex = VertexBatches(
            try ChatFlow(provider: .vertex, cloud: cloud, key: "k", model: "m", messages: prompt)
        )
        cloud = CloudOptions()
        (cloud.region, cloud.accessKey, cloud.secretKey) = ("us-east-1", "k", "k")
        let bedrock = BedrockBatches(
            try ChatFlow(provider: .bedrock, cloud: cloud, model: "m", messages: prompt)
        )
        let embedding = OpenAIBatches(try EmbeddingFlow(baseURL: "http://h/v1", model: "m", input: ["{{n}}"]))
        let record = Record(id: "r", kind: .json, bytes: Array(#"{"n":"1"}"#.utf8))
        let task = FlowTask(batch: "b", index: 0, record: record)
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            if let row = OpenAIBatches.row(Array(line)) {
                try require(OpenAIBatches.row(Array(line)) == row, "a row is read in two ways")
                for provider in [chat, embedding] as [any BatchProvider] {
                    guard case .success(let output) = provider.result(of: row, for: task) else { continue }
                    try JSON.validate(output.json)
                }
            }
            if let row = AnthropicBatches.row(Array(line)),
                case .success(let output) = messages.result(of: row, for: task)
            {
                try JSON.validate(output.json)
            }
            let others: [(BatchRow?, any BatchProvider)] = [
                (GeminiBatches.row(Array(line)), gemini), (MistralBatches.row(Array(line)), mistral),
                (VertexBatches.row(Array(line)), vertex), (BedrockBatches.row(Array(line)), bedrock),
            ]
            for (row, client) in others {
                guard let row, case .success(let output) = client.result(of: row, for: task) else { continue }
                try JSON.validate(output.json)
            }
            guard let json = try? JSON.parse(Array(line)) else { continue }
            let states = [
                OpenAIBatches.state(json, nil), AnthropicBatches.state(json, nil), GeminiBatches.state(json),
                MistralBatches.state(json), VertexBatches.state(json), BedrockBatches.state(json),
            ]
            for state in states.compactMap({ $0 }) {
                try require(state.counted >= 0 && state.createdAt >= 0, "an amount is negative")
                try require(!state.id.isEmpty && !state.files.contains(""), "an id is empty")
            }
        }
    }
}
