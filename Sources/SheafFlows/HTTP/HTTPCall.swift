/// A request, ready to be sent.
struct HTTPCall: Sendable {
    var method: String
    var url: HTTPAddress
    var headers: [(name: String, value: String)] = []
    var body: [UInt8]?

    /// Method and place, without what may be secret.
    var description: String { "\(method) \(url)" }

    /// The request that follows a redirect, as browsers do it.
    ///
    /// A server that was not asked sees no header that may be meant for the first one only.
    func redirected(to target: HTTPAddress, status: Int) -> HTTPCall {
        var call = self
        call.url = target
        if status == 303 && method != "HEAD" || (status == 301 || status == 302) && method == "POST" {
            call.method = "GET"
            call.body = nil
            call.headers.removeAll { $0.name.lowercased().hasPrefix("content-") }
        }
        if !target.hasSameOrigin(as: url) {
            call.headers.removeAll { !Self.harmless.contains($0.name.lowercased()) }
        }
        return call
    }

    private static let harmless: Set<String> = [
        "accept", "accept-language", "content-type", "content-language", "user-agent",
    ]
}

/// What was answered.
struct HTTPAnswer: Sendable {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    /// The first header of that name, in small letters.
    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}
