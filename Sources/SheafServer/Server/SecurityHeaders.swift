import HTTPTypes

/// The headers of every response that keep browsers from doing more with it than is meant.
enum SecurityHeaders {
    /// No scripts, styles or images but those of this server, none of them inline, and no frames.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
        font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'
        """

    private static let fields: [(name: HTTPField.Name, value: String)] = [
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        // Not no-referrer, with which browsers send 'Origin: null' with a form.
        ("Referrer-Policy", "same-origin"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ].compactMap { name, value in HTTPField.Name(name).map { ($0, value) } }

    /// Adds the headers; those that a handler has set stay.
    static func add(to headers: inout HTTPFields) {
        for field in fields where headers[field.name] == nil { headers[field.name] = field.value }
    }
}
