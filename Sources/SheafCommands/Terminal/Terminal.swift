import Glibc

/// What is known of the terminal, if there is one, that a descriptor leads to.
struct Terminal: Sendable, Equatable {
    /// Whether it is a terminal that can redraw a line.
    var isInteractive: Bool
    /// Whether it may be written to in colour.
    var hasColour: Bool

    init(isInteractive: Bool, hasColour: Bool) {
        self.isInteractive = isInteractive
        self.hasColour = hasColour
    }

    /// Looks at a descriptor and at `TERM` and `NO_COLOR` (any value but the empty one turns colour off).
    init(descriptor: Int32, environment: [String: String]) {
        let isTerminal = isatty(descriptor) == 1
        let isDumb = environment["TERM"].map { $0 == "dumb" || $0.isEmpty } ?? true
        isInteractive = isTerminal && !isDumb
        hasColour = isInteractive && (environment["NO_COLOR"] ?? "").isEmpty
    }

    /// The width in columns that the terminal behind a descriptor has now, or 80.
    static func width(of descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
