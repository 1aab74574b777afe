import OrderedCollections
import SheafCore

/// Models on Amazon Bedrock: those of Anthropic with their Messages, all others with Bedrock's Converse.
///
/// The formats are those of <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html> and
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html>.
package enum BedrockChat {
    static let path = "/model/{model}/converse"
    /// The name of the services in signatures.
    static let service = "bedrock"
    /// The version of Anthropic's Messages.
    private static let anthropicVersion = "bedrock-2023-05-31"
    /// The fewest requests of a job, unless AWS has changed the account's quota.
    private static let minimumRecords = 100

    /// Returns the region, as it is a part of hosts.
    static func region(_ options: CloudOptions) throws(FlowConfigurationProblem) -> String {
        guard let region = options.region else {
            throw FlowConfigurationProblem(.key("region"), "it is missing; set a region, such as us-east-1")
        }
        guard region.wholeMatch(of: /[a-z]{2}(-[a-z]+)+-[0-9]/) != nil else {
            throw FlowConfigurationProblem(.key("region"), "expected a region, such as us-east-1")
        }
        return region
    }

    /// Returns the URL of a service of AWS.
    static func url(_ service: String, _ region: String) -> String {
        "https://\(service).\(region).amazonaws.com\(region.hasPrefix("cn-") ? ".cn" : "")"
    }

    /// Returns what signs requests.
    static func authenticator(
        _ options: CloudOptions,
        _ variables: [String: String]
    ) throws(FlowConfigurationProblem) -> any RequestAuthenticator {
        guard let id = options.accessKey, let secret = options.secretKey else {
            throw FlowConfigurationProblem(
                .key(options.accessKey == nil ? "access_key" : "secret_key"),
                "it is missing; set access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        }
        return AWSAuthenticator(
            service: service,
            region: try region(options),
            id: try CredentialTemplate(id, "access_key", variables),
            secret: try CredentialTemplate(secret, "secret_key", variables),
            token: try options.sessionToken.map { token throws(FlowConfigurationProblem) in
                try CredentialTemplate(token, "session_token", variables)
            }
        )
    }

    /// Reads what jobs need.
    static func cloud(_ options: CloudOptions) throws(FlowConfigurationProblem) -> ModelCloud {
        let region = try region(options)
        var cloud = try ModelCloud(options, scheme: "s3", storageURL: url("s3", region))
        cloud.jobsURL = try ModelCloud.url(options.jobsURL, or: url("bedrock", region), "jobs_url")
        cloud.role = options.role ?? ""
        cloud.minimumRecords = options.minimumRecords ?? minimumRecords
        return cloud
    }

    /// Returns whether a model is one of Anthropic, by its id, that of its profile, or its ARN.
    package static func isClaude(_ model: String) -> Bool {
        model.split { "./:".contains($0) }.contains("anthropic")
    }

    // MARK: Requests

    static func request(
        model: String,
        messages: JSONValue,
        options: JSONValue
    ) throws(TemplateError) -> ModelRequest {
        // The name is a part of the URL, and may be made of a record.
        guard model.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9._:\/\-]*/) != nil, !model.contains("//") else {
            throw TemplateError("model: '\(model)' is not the id or the ARN of a model")
        }
        let path = "/model/\(PercentEncoding.encode(model))"
        if isClaude(model) {
            let body = AnthropicChat.request(version: anthropicVersion, messages: messages, options: options)
            return ModelRequest(model: model, path: "\(path)/invoke", body: body)
        }
        return ModelRequest(model: model, path: "\(path)/converse", body: try converse(messages, options))
    }

    /// Makes a request of Converse; messages, tools and options in OpenAI's format are converted.
    private static func converse(_ messages: JSONValue, _ options: JSONValue) throws(TemplateError) -> JSONValue {
        let all = messages.arrayValue ?? []
        var list: [JSONValue] = []
        var system: [JSONValue] = []
        for message in all {
            if message["role"] == "system" || message["role"] == "developer" {
                system += try content(of: message)
            } else {
                list.append(try Self.message(message))
            }
        }
        var body: JSONValue = ["messages": .array(list)]
        if !system.isEmpty { body.set("system", to: .array(system)) }
        var settings: JSONValue = [:]
        var tools: JSONValue = [:]
        for (name, value) in options.objectValue ?? [:] {
            switch name {
            case "max_tokens", "max_completion_tokens": settings.set("maxTokens", to: value)
            case "temperature": settings.set("temperature", to: value)
            case "top_p": settings.set("topP", to: value)
            case "stop": settings.set("stopSequences", to: value.stringValue.map { [.string($0)] } ?? value)
            case "inferenceConfig": for (name, value) in value.objectValue ?? [:] { settings.set(name, to: value) }
            case "tools": tools.set("tools", to: .array((value.arrayValue ?? []).map(tool)))
            case "tool_choice": if let choice = toolChoice(value) { tools.set("toolChoice", to: choice) }
            default: body.set(name, to: value)
            }
        }
        if settings != [:] { body.set("inferenceConfig", to: settings) }
        if tools["tools"] != nil { body.set("toolConfig", to: tools) }
        return body
    }

    private static func message(_ message: JSONValue) throws(TemplateError) -> JSONValue {
        if message["role"] == "tool" {
            let text = message["content"]?.renderedText ?? ""
            let json = (try? JSON.parse(text)).flatMap { $0.objectValue == nil ? nil : $0 }
            let result: JSONValue = [
                "toolUseId": message["tool_call_id"] ?? .null,
                "content": [json.map { ["json": $0] } ?? ["text": .string(text)]],
            ]
            return ["role": "user", "content": [["toolResult": result]]]
        }
        let calls = (message["tool_calls"]?.arrayValue ?? []).map { call -> JSONValue in
            let written = call["function"]?["arguments"]
            let use: JSONValue = [
                "toolUseId": call["id"] ?? .null, "name": call["function"]?["name"] ?? .null,
                "input": written?.stringValue.flatMap { try? JSON.parse($0) } ?? written ?? [:],
            ]
            return ["toolUse": use]
        }
        return ["role": message["role"] ?? "user", "content": .array(try content(of: message) + calls)]
    }

    private static func content(of message: JSONValue) throws(TemplateError) -> [JSONValue] {
        switch message["content"] {
        case nil, .null?: return []
        case .array(let list)?:
            var blocks: [JSONValue] = []
            for part in list { blocks.append(try block(part)) }
            return blocks
        case let content?: return [["text": .string(content.renderedText)]]
        }
    }

    private static func block(_ part: JSONValue) throws(TemplateError) -> JSONValue {
        switch part["type"]?.stringValue {
        case "text": return ["text": part["text"] ?? ""]
        case "image_url":
            let url = part["image_url"]?["url"]?.stringValue ?? part["image_url"]?.stringValue ?? ""
            guard let match = url.prefixMatch(of: /data:image\/([a-z]+);base64,/) else {
                throw TemplateError("messages: an image for Bedrock must be a data: URL with base64")
            }
            let data = String(url[match.range.upperBound...])
            return ["image": ["format": .string(String(match.1)), "source": ["bytes": .string(data)]]]
        case let type?: throw TemplateError("messages: Bedrock has no content of type '\(type)'")
        // Blocks in Bedrock's own format have no type.
        case nil: return part.stringValue.map { ["text": .string($0)] } ?? part
        }
    }

    private static func tool(_ tool: JSONValue) -> JSONValue {
        guard let function = tool["function"] else { return tool }
        var specification: JSONValue = ["name": function["name"] ?? .null]
        if let description = function["description"] { specification.set("description", to: description) }
        specification.set("inputSchema", to: ["json": function["parameters"] ?? ["type": "object"]])
        return ["toolSpec": specification]
    }

    /// Converts a choice; nil if the model must use no tool, which Bedrock cannot be told.
    private static func toolChoice(_ choice: JSONValue) -> JSONValue? {
        switch choice.stringValue {
        case "none": nil
        case "required", "any": ["any": [:]]
        case _?: ["auto": [:]]
        case nil: choice["function"]?["name"].map { ["tool": ["name": $0]] } ?? choice
        }
    }

    // MARK: Answers

    static func answer(_ body: JSONValue, model: String?) throws(FlowError) -> ChatAnswer {
        // Only Messages have their content at the top.
        if body["content"] != nil { return try AnthropicChat.answer(body) }
        guard let blocks = body["output"]?["message"]?["content"]?.arrayValue else {
            throw ChatAnswer.unexpected("output.message.content", in: body)
        }
        let texts = blocks.compactMap { $0["text"]?.stringValue }
        return ChatAnswer(
            content: texts.isEmpty ? nil : texts.joined(),
            toolCalls: blocks.compactMap { $0["toolUse"] }.map { use in
                ["id": use["toolUseId"] ?? .null, "name": use["name"] ?? .null, "arguments": use["input"] ?? [:]]
            },
            finishReason: finishReason(body["stopReason"]?.stringValue ?? "end_turn"),
            model: model,
            usage: usage(body["usage"])
        )
    }

    /// Reads the usage of a call; Bedrock counts cached tokens separately, OpenAI as part of the input.
    private static func usage(_ usage: JSONValue?) -> Usage {
        let (read, written) = (usage?["cacheReadInputTokens"]?.intValue, usage?["cacheWriteInputTokens"]?.intValue)
        let input = usage?["inputTokens"]?.intValue.map { Usage.sum($0, read ?? 0, written ?? 0) }
        let output = usage?["outputTokens"]?.intValue
        return Usage(known: [
            "input_tokens": input, "output_tokens": output,
            "total_tokens": usage?["totalTokens"]?.intValue
                ?? input.flatMap { input in output.map { Usage.sum(input, $0) } },
            "cached_tokens": read, "cache_write_tokens": written,
        ])
    }

    private static func finishReason(_ reason: String) -> String {
        switch reason {
        case "end_turn", "stop_sequence": "stop"
        case "max_tokens": "length"
        case "tool_use": "tool_calls"
        case "guardrail_intervened", "content_filtered": "content_filter"
        default: reason
        }
    }
}
