import OrderedCollections
import SheafCore

/// The format of Gemini's `generateContent`.
///
/// The format is that of Google's documentation, <https://ai.google.dev/api/generate-content>.
package enum GeminiChat {
    static let path = "/{model}:generateContent"
    /// The version of the API if the base URL names none.
    static let version = "v1beta"

    /// The options that have another name in `generationConfig`, by OpenAI's name.
    private static let settings = [
        "temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_tokens": "maxOutputTokens",
        "max_completion_tokens": "maxOutputTokens", "n": "candidateCount", "seed": "seed",
        "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
        "logprobs": "responseLogprobs", "top_logprobs": "logprobs",
    ]

    /// Returns a base URL with a version at its end.
    static func base(_ url: String) -> String {
        let url = url.hasSuffix("/") ? String(url.dropLast()) : url
        let last = url.split(separator: "/").last ?? ""
        return last.wholeMatch(of: /v[0-9]+(alpha|beta)?[0-9]*/) == nil ? "\(url)/\(version)" : url
    }

    /// Returns a path with the name of a model in the place of `{model}`.
    ///
    /// - Throws: ``TemplateError`` if the name cannot be that of a model.
    package static func filled(_ path: String, model: String) throws(TemplateError) -> String {
        let name = resource(model)
        // The name is a part of the URL, and may be made of a record.
        guard name.wholeMatch(of: /(models|tunedModels)\/[A-Za-z0-9][A-Za-z0-9._\-]*/) != nil else {
            throw TemplateError("model: '\(model)' is not the name of a model")
        }
        return path.replacing("{model}", with: name)
    }

    /// Returns the full name of a model.
    static func resource(_ model: String) -> String { model.contains("/") ? model : "models/\(model)" }

    // MARK: Requests

    /// Makes a request; messages, tools and options in OpenAI's format are converted to Gemini's.
    static func request(messages: JSONValue, options: JSONValue) throws(TemplateError) -> JSONValue {
        let all = messages.arrayValue ?? []
        var body: JSONValue = ["contents": .array(try contents(of: all.filter { !isSystem($0) }))]
        let system = all.filter(isSystem)
        if !system.isEmpty {
            var parts: [JSONValue] = []
            for message in system { parts += try Self.parts(of: message) }
            body.set("systemInstruction", to: ["parts": .array(parts)])
        }
        var settings: JSONValue = [:]
        for (name, value) in options.objectValue ?? [:] {
            if let known = Self.settings[name] {
                settings.set(known, to: value)
                continue
            }
            switch name {
            case "stop": settings.set("stopSequences", to: value.stringValue.map { [.string($0)] } ?? value)
            case "response_format": set(format: value, in: &settings)
            case "generationConfig": for (name, value) in value.objectValue ?? [:] { settings.set(name, to: value) }
            case "tools": body.set(name, to: tools(value))
            case "tool_choice": body.set("toolConfig", to: ["functionCallingConfig": toolChoice(value)])
            default: body.set(name, to: value)
            }
        }
        if settings != [:] { body.set("generationConfig", to: settings) }
        return body
    }

    private static func isSystem(_ message: JSONValue) -> Bool {
        message["role"] == "system" || message["role"] == "developer"
    }

    private static func contents(of messages: [JSONValue]) throws(TemplateError) -> [JSONValue] {
        // An answer of a tool has the id of the call, but Gemini asks for the name of the function.
        var names: [JSONValue: JSONValue] = [:]
        var contents: [JSONValue] = []
        for message in messages {
            for call in message["tool_calls"]?.arrayValue ?? [] {
                if let id = call["id"], let name = call["function"]?["name"] { names[id] = name }
            }
            let content: JSONValue
            switch message["role"]?.stringValue {
            case _ where message["parts"] != nil: content = message
            case "tool":
                let name = message["name"] ?? message["tool_call_id"].flatMap { names[$0] } ?? .null
                content = ["role": "user", "parts": [["functionResponse": response(message, name)]]]
            case "assistant":
                let calls = (message["tool_calls"]?.arrayValue ?? []).map(call)
                content = ["role": "model", "parts": .array(try parts(of: message) + calls)]
            case let role:
                content = ["role": .string(role ?? "user"), "parts": .array(try parts(of: message))]
            }
            contents.append(content)
        }
        return contents
    }

    private static func response(_ message: JSONValue, _ name: JSONValue) -> JSONValue {
        let text = message["content"]?.stringValue ?? message["content"]?.text ?? ""
        let parsed = try? JSON.parse(text)
        var response: JSONValue = ["name": name, "response": ["result": parsed ?? .string(text)]]
        if let parsed, parsed.objectValue != nil { response.set("response", to: parsed) }
        return response
    }

    private static func call(_ call: JSONValue) -> JSONValue {
        let text = call["function"]?["arguments"]?.stringValue
        let arguments = text.flatMap { try? JSON.parse($0) } ?? call["function"]?["arguments"] ?? [:]
        return ["functionCall": ["name": call["function"]?["name"] ?? .null, "args": arguments]]
    }

    private static func parts(of message: JSONValue) throws(TemplateError) -> [JSONValue] {
        switch message["content"] {
        case nil, .null?: return message["parts"]?.arrayValue ?? []
        case .array(let list)?:
            var parts: [JSONValue] = []
            for part in list { parts.append(try Self.part(part)) }
            return parts
        case let content?: return [["text": .string(content.renderedText)]]
        }
    }

    private static func part(_ part: JSONValue) throws(TemplateError) -> JSONValue {
        switch part["type"]?.stringValue {
        case "text": return ["text": part["text"] ?? ""]
        case "image_url":
            let url = part["image_url"]?["url"]?.stringValue ?? part["image_url"]?.stringValue ?? ""
            return try data(url) ?? ["fileData": ["fileUri": .string(url)]]
        case "input_audio":
            let audio = part["input_audio"]
            let type = "audio/\(audio?["format"]?.stringValue ?? "wav")"
            return ["inlineData": ["mimeType": .string(type), "data": audio?["data"] ?? ""]]
        case "file":
            guard let inline = try data(part["file"]?["file_data"]?.stringValue ?? "") else {
                throw TemplateError("messages: a file needs file_data that is a data: URL")
            }
            return inline
        case let type?: throw TemplateError("messages: Gemini has no content of type '\(type)'")
        // Parts in Gemini's own format have no type.
        case nil: return part.stringValue.map { ["text": .string($0)] } ?? part
        }
    }

    /// Returns the part for a `data:` URL; nil for another URL.
    private static func data(_ url: String) throws(TemplateError) -> JSONValue? {
        guard url.hasPrefix("data:") else { return nil }
        let (head, data) = (url.prefix { $0 != "," }, url.drop { $0 != "," }.dropFirst())
        guard head.hasSuffix(";base64"), !data.isEmpty else {
            throw TemplateError("messages: a data: URL must be encoded as base64")
        }
        let type = head.dropFirst("data:".count).prefix { $0 != ";" }
        return ["inlineData": ["mimeType": .string(String(type)), "data": .string(String(data))]]
    }

    private static func set(format: JSONValue, in settings: inout JSONValue) {
        switch format["type"]?.stringValue {
        case "json_object": settings.set("responseMimeType", to: "application/json")
        case "json_schema":
            settings.set("responseMimeType", to: "application/json")
            if let schema = format["json_schema"]?["schema"] { settings.set("responseJsonSchema", to: schema) }
        default: break
        }
    }

    /// Collects functions into one tool, as Gemini expects; its own tools, such as `googleSearch`, are kept.
    private static func tools(_ tools: JSONValue) -> JSONValue {
        var functions: [JSONValue] = []
        var others: [JSONValue] = []
        for tool in tools.arrayValue ?? [] {
            guard let function = tool["function"] else {
                others.append(tool)
                continue
            }
            var declaration: JSONValue = ["name": function["name"] ?? .null]
            if let description = function["description"] { declaration.set("description", to: description) }
            if let parameters = function["parameters"] { declaration.set("parametersJsonSchema", to: parameters) }
            functions.append(declaration)
        }
        return .array((functions.isEmpty ? [] : [["functionDeclarations": .array(functions)]]) + others)
    }

    private static func toolChoice(_ choice: JSONValue) -> JSONValue {
        switch choice.stringValue {
        case "required", "any": ["mode": "ANY"]
        case "none": ["mode": "NONE"]
        case _?: ["mode": "AUTO"]
        case nil:
            choice["function"]?["name"].map { ["mode": "ANY", "allowedFunctionNames": [$0]] } ?? choice
        }
    }

    // MARK: Answers

    static func answer(_ body: JSONValue) throws(FlowError) -> ChatAnswer {
        let candidate = body["candidates"]?.arrayValue?.first
        let block = body["promptFeedback"]?["blockReason"]
        guard candidate != nil || block != nil else { throw ChatAnswer.unexpected("candidates[0]", in: body) }
        let parts = candidate?["content"]?["parts"]?.arrayValue ?? []
        let texts = parts.filter { $0["thought"] != true }.compactMap { $0["text"]?.stringValue }
        let calls = parts.compactMap { $0["functionCall"] }.enumerated().map { position, call -> JSONValue in
            [
                "id": call["id"] ?? .string("call_\(position)"), "name": call["name"] ?? .null,
                "arguments": call["args"] ?? [:],
            ]
        }
        let reason = candidate == nil ? "SAFETY" : candidate?["finishReason"]?.stringValue ?? "STOP"
        return ChatAnswer(
            content: texts.isEmpty ? nil : texts.joined(),
            toolCalls: calls,
            finishReason: calls.isEmpty || reason != "STOP" ? finishReason(reason) : "tool_calls",
            model: body["modelVersion"]?.stringValue,
            usage: usage(body["usageMetadata"])
        )
    }

    /// Reads the usage of a call; Gemini counts thoughts separately, OpenAI as part of the output.
    static func usage(_ usage: JSONValue?) -> Usage {
        let thoughts = usage?["thoughtsTokenCount"]?.intValue
        let tools = usage?["toolUsePromptTokenCount"]?.intValue ?? 0
        let input = usage?["promptTokenCount"]?.intValue.map { Usage.sum($0, tools) }
        // An answer without text has no count of it.
        let isChat = usage?["candidatesTokenCount"] != nil || thoughts != nil
        let output = isChat ? Usage.sum(usage?["candidatesTokenCount"]?.intValue ?? 0, thoughts ?? 0) : nil
        return Usage(known: [
            "input_tokens": input, "output_tokens": output,
            "total_tokens": usage?["totalTokenCount"]?.intValue ?? input.map { Usage.sum($0, output ?? 0) },
            "cached_tokens": usage?["cachedContentTokenCount"]?.intValue, "reasoning_tokens": thoughts,
        ])
    }

    private static func finishReason(_ reason: String) -> String {
        switch reason {
        case "STOP": "stop"
        case "MAX_TOKENS": "length"
        case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION":
            "content_filter"
        default: reason
        }
    }
}
