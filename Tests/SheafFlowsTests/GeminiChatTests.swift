import SheafCore
import Testing

@testable import SheafFlows

/// Requests in OpenAI's format as Gemini's, and Gemini's answers.
@Suite("Gemini's format") struct GeminiChatTests {
    private func request(_ messages: JSONValue, _ options: JSONValue = [:]) throws -> JSONValue {
        try GeminiChat.request(messages: messages, options: options)
    }

    private func error(_ body: () throws -> Void) -> String? {
        #expect(throws: TemplateError.self) { try body() }?.description
    }

    @Test("Messages, images and files are converted to contents and parts") func messages() throws {
        let body = try request([
            ["role": "system", "content": "a"], ["role": "developer", "content": [["type": "text", "text": "b"]]],
            [
                "role": "user",
                "content": [
                    ["type": "text", "text": "what?"],
                    ["type": "image_url", "image_url": ["url": "data:image/png;base64,aGk="]],
                    ["type": "image_url", "image_url": "https://host/files/x"],
                    ["type": "input_audio", "input_audio": ["format": "mp3", "data": "aGk="]],
                    ["type": "file", "file": ["file_data": "data:application/pdf;base64,aGk="]],
                    ["fileData": ["fileUri": "files/y"]],
                ],
            ],
            ["role": "model", "parts": [["text": "as it is"]]],
        ])
        #expect(body["systemInstruction"] == ["parts": [["text": "a"], ["text": "b"]]])
        #expect(
            body["contents"] == [
                [
                    "role": "user",
                    "parts": [
                        ["text": "what?"], ["inlineData": ["mimeType": "image/png", "data": "aGk="]],
                        ["fileData": ["fileUri": "https://host/files/x"]],
                        ["inlineData": ["mimeType": "audio/mp3", "data": "aGk="]],
                        ["inlineData": ["mimeType": "application/pdf", "data": "aGk="]],
                        ["fileData": ["fileUri": "files/y"]],
                    ],
                ], ["role": "model", "parts": [["text": "as it is"]]],
            ]
        )
        let video: JSONValue = [["role": "user", "content": [["type": "video", "video": "x"]]]]
        #expect(error { _ = try request(video) } == "messages: Gemini has no content of type 'video'")
        let plain: JSONValue = [
            ["role": "user", "content": [["type": "image_url", "image_url": "data:text/plain,x"]]]
        ]
        #expect(error { _ = try request(plain) } == "messages: a data: URL must be encoded as base64")
    }

    @Test("Calls of tools and their results are converted, with the function's name for the id of the call")
    func tools() throws {
        let call: JSONValue = ["id": "c1", "function": ["name": "look", "arguments": "{\"n\": 1}"]]
        let body = try request([
            ["role": "user", "content": "x"], ["role": "assistant", "content": nil, "tool_calls": [call]],
            ["role": "tool", "tool_call_id": "c1", "content": "{\"found\": true}"],
            ["role": "tool", "tool_call_id": "c1", "content": "none"],
        ])
        #expect(
            body["contents"]?.arrayValue?.dropFirst() == [
                ["role": "model", "parts": [["functionCall": ["name": "look", "args": ["n": 1]]]]],
                ["role": "user", "parts": [["functionResponse": ["name": "look", "response": ["found": true]]]]],
                ["role": "user", "parts": [["functionResponse": ["name": "look", "response": ["result": "none"]]]]],
            ]
        )
    }

    @Test("Options in OpenAI's format are converted, and Gemini's own are kept") func options() throws {
        let function: JSONValue = ["name": "look", "description": "Looks", "parameters": ["type": "object"]]
        let body = try request(
            [["role": "user", "content": "x"]],
            [
                "temperature": 0.5, "max_tokens": 9, "stop": "!", "n": 2,
                "response_format": [
                    "type": "json_schema", "json_schema": ["name": "a", "schema": ["type": "object"]],
                ],
                "tools": [["type": "function", "function": function], ["googleSearch": [:]]],
                "tool_choice": ["type": "function", "function": ["name": "look"]],
                "generationConfig": ["thinkingConfig": ["thinkingBudget": 0]], "safetySettings": [],
            ]
        )
        #expect(
            body["generationConfig"] == [
                "temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["!"], "candidateCount": 2,
                "responseMimeType": "application/json", "responseJsonSchema": ["type": "object"],
                "thinkingConfig": ["thinkingBudget": 0],
            ]
        )
        #expect(
            body["tools"] == [
                [
                    "functionDeclarations": [
                        ["name": "look", "description": "Looks", "parametersJsonSchema": ["type": "object"]]
                    ]
                ], ["googleSearch": [:]],
            ]
        )
        #expect(body["toolConfig"] == ["functionCallingConfig": ["mode": "ANY", "allowedFunctionNames": ["look"]]])
        #expect(body["safetySettings"] == [])
        for (choice, mode) in [("required", "ANY"), ("none", "NONE"), ("auto", "AUTO")] {
            let body = try request([["role": "user", "content": "x"]], ["tool_choice": .string(choice)])
            #expect(body["toolConfig"]?["functionCallingConfig"] == ["mode": .string(mode)])
        }
    }

    @Test(
        "Reasons for an end have one form for all providers",
        arguments: [
            ("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"),
            ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        ]
    ) func reasons(theirs: String, ours: String) throws {
        let answer = try GeminiChat.answer(["candidates": [["finishReason": .string(theirs)]]])
        #expect(answer.finishReason == ours && answer.content == nil)
    }

    @Test("A blocked prompt is an answer without content, and an error in a success is named") func blocked() throws {
        let blocked = try GeminiChat.answer([
            "promptFeedback": ["blockReason": "SAFETY"],
            "usageMetadata": ["promptTokenCount": 4, "totalTokenCount": 4],
        ])
        #expect(blocked.finishReason == "content_filter" && blocked.content == nil)
        #expect(blocked.usage == Usage(["input_tokens": 4, "total_tokens": 4]))
        let error = #expect(throws: FlowError.self) {
            try GeminiChat.answer(["error": ["code": 13, "message": "it broke"]])
        }
        #expect(error?.message == "the service answered without candidates[0]: it broke")
    }

    @Test(
        "A base URL may have the version of the API or not",
        arguments: [
            ("https://host", "https://host/v1beta"), ("https://host/", "https://host/v1beta"),
            ("https://host/v1", "https://host/v1"), ("https://host/v1alpha/", "https://host/v1alpha"),
            ("https://host/gemini", "https://host/gemini/v1beta"),
        ]
    ) func bases(given: String, used: String) { #expect(GeminiChat.base(given) == used) }

    @Test("The name of a model is a part of the path, and nothing else can be") func models() throws {
        #expect(try GeminiChat.filled(GeminiChat.path, model: "m-1.5") == "/models/m-1.5:generateContent")
        #expect(try GeminiChat.filled(GeminiChat.path, model: "tunedModels/m") == "/tunedModels/m:generateContent")
        for name in ["", "../files/x", "m?key=1", "m:embedContent#", "models/a/b", "m%2F"] {
            #expect(
                error { _ = try GeminiChat.filled(GeminiChat.path, model: name) }
                    == "model: '\(name)' is not the name of a model"
            )
        }
    }

    @Test("A quota of 0 is not waited for, and the time to wait is read from the error's details") func quotas() throws
    {
        let service = try ModelService(baseURL: "http://host", headers: [], maximumOutput: 1_000, variables: [:])
        let address = try #require(HTTPAddress("http://host/x"))
        func failure(_ limit: String) -> (any Error)? {
            let error: JSONValue = [
                "error": [
                    "code": 429, "status": "RESOURCE_EXHAUSTED",
                    "message": .string("Quota exceeded for metric: x, limit: \(limit), model: m"),
                    "details": [
                        ["@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []],
                        ["@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"],
                    ],
                ]
            ]
            let answer = HTTPAnswer(status: 429, headers: [], body: error.bytes)
            do {
                try service.check(answer, to: HTTPCall(method: "POST", url: address))
                return nil
            } catch { return error }
        }
        #expect((failure("20") as? FlowThrottle)?.delay == .milliseconds(34_500))
        #expect((failure("0") as? FlowError)?.type == "http-429")
    }
}
