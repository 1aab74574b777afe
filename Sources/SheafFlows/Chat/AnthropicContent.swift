import SheafCore

/// How messages in OpenAI's format are written for Anthropic.
enum AnthropicContent {
    /// Returns the texts of all system messages, which Anthropic takes beside the others; nil if there are none.
    static func system(_ messages: [JSONValue]) -> JSONValue? {
        let texts = messages.filter { $0["role"] == "system" || $0["role"] == "developer" }.flatMap { message in
            message["content"]?.arrayValue?.compactMap { $0["text"]?.stringValue }
                ?? [message["content"]?.stringValue].compactMap { $0 }
        }
        return texts.isEmpty ? nil : .string(texts.joined(separator: "\n\n"))
    }

    /// Returns the messages besides those of the system.
    static func messages(_ messages: [JSONValue]) -> [JSONValue] {
        messages.filter { $0["role"] != "system" && $0["role"] != "developer" }.map(message)
    }

    private static func message(_ message: JSONValue) -> JSONValue {
        if message["role"] == "tool" {
            let result: JSONValue = [
                "type": "tool_result", "tool_use_id": message["tool_call_id"] ?? .null,
                "content": message["content"] ?? "",
            ]
            return ["role": "user", "content": [result]]
        }
        var blocks = message["content"]?.arrayValue.map { $0.map(block) }
        if let calls = message["tool_calls"]?.arrayValue {
            let text = message["content"]?.stringValue.map { ["type": "text", "text": .string($0)] as JSONValue }
            blocks = (blocks ?? [text].compactMap { $0 }) + calls.map(toolUse)
        }
        guard let blocks else { return message }
        return ["role": message["role"] ?? .null, "content": .array(blocks)]
    }

    private static func toolUse(_ call: JSONValue) -> JSONValue {
        let arguments = call["function"]?["arguments"]
        return [
            "type": "tool_use", "id": call["id"] ?? .null, "name": call["function"]?["name"] ?? .null,
            "input": arguments?.stringValue.flatMap { try? JSON.parse($0) } ?? arguments ?? [:],
        ]
    }

    /// Converts an image; other blocks have the same form, or Anthropic's own.
    private static func block(_ block: JSONValue) -> JSONValue {
        guard block["type"] == "image_url",
            let url = block["image_url"]?["url"]?.stringValue ?? block["image_url"]?.stringValue
        else { return block }
        guard let match = url.prefixMatch(of: /data:([^;,]+);base64,/) else {
            return ["type": "image", "source": ["type": "url", "url": .string(url)]]
        }
        let data = String(url[match.range.upperBound...])
        return [
            "type": "image",
            "source": ["type": "base64", "media_type": .string(String(match.1)), "data": .string(data)],
        ]
    }
}
