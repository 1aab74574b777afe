/// Values that no message may show.
struct Secrets: Sendable {
    private let values: [String]

    init(_ variables: [String: String]) {
        // The longest first, so that none is left over in part where one contains another.
        values = variables.values.filter { !$0.isEmpty }.sorted { $0.utf8.count > $1.utf8.count }
    }

    /// The text with its variables, written `${NAME}`, in their places.
    static func filled(_ text: String, with variables: [String: String]) -> String {
        var text = text
        for (name, value) in variables { text = text.replacing("${\(name)}", with: value) }
        return text
    }

    /// The text with stars in the place of secrets.
    func masked(_ text: String) -> String {
        var text = text
        for value in values where text.contains(value) { text = text.replacing(value, with: "***") }
        return text
    }

    /// The error without secrets in its message.
    func masked(_ error: any Error) -> any Error {
        switch error {
        case var error as FlowError:
            error.message = masked(error.message)
            return error
        case var throttle as FlowThrottle:
            throttle.message = masked(throttle.message)
            return throttle
        default: return error
        }
    }
}
