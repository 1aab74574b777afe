/// Posts to URLs that the creator of a batch chooses: without redirects, and not to private addresses by default.
package struct WebhookCaller: Sendable {
    private static let maximumAnswer = 64 << 10
    private let caller: HTTPCaller

    package init(allowsPrivateAddresses: Bool) {
        caller = HTTPCaller(
            HTTPCaller.Rules(maximumBody: Self.maximumAnswer, allowsPrivateAddresses: allowsPrivateAddresses)
        )
    }

    /// Whether a text is a URL that can be called.
    package static func isURL(_ text: String) -> Bool { HTTPAddress(text) != nil }

    /// Posts a body and returns the status of the answer.
    ///
    /// - Throws: ``FlowError``, and `CancellationError`.
    package func post(
        _ body: [UInt8],
        to url: String,
        headers: [(name: String, value: String)],
        within limit: Duration
    ) async throws -> Int {
        guard let address = HTTPAddress(url) else { throw FlowError(type: "url", message: "'\(url)' is not a URL") }
        let call = HTTPCall(method: "POST", url: address, headers: headers, body: body)
        return try await withThrowingTaskGroup(of: Int?.self) { group in
            group.addTask { try await caller.send(call, isTrusted: false).status }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            guard let status = try await group.next() ?? nil else {
                throw FlowError(
                    type: FlowError.timeoutType,
                    message: "\(call.description) took longer than \(limit)",
                    isRetryable: true
                )
            }
            return status
        }
    }
}
