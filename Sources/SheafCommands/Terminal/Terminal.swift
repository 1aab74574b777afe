import Glibc
import SheafCore

/// The abilities of the terminal at a descriptor, if there is one.
struct Terminal: Sendable, Equatable {
    /// Whether it is a terminal that can redraw a line.
    var isInteractive: Bool
    /// Whether it shows colours.
    var hasColour: Bool

    init(isInteractive: Bool, hasColour: Bool) {
        self.isInteractive = isInteractive
        self.hasColour = hasColour
    }

    /// Examines a descriptor, `TERM` and `NO_COLOR`; any value of `NO_COLOR` but an empty one turns colours off.
    init(descriptor: Int32, environment: [String: String]) {
        let isTerminal = isatty(descriptor) == 1
        let isDumb = environment["TERM"].map { $0 == "dumb" || $0.isEmpty } ?? true
        isInteractive = isTerminal && !isDumb
        hasColour = isInteractive && (environment["NO_COLOR"] ?? "").isEmpty
    }

    /// Returns the current width of the terminal in columns, or 80 if it is unknown.
    static func width(of descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// Colours text if colours are on.
struct Style: Sendable, Equatable {
    /// A colour.
    enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case grey = "90"
    }

    /// Whether colours are on.
    var isOn: Bool

    /// Returns a text in a colour.
    func paint(_ text: String, _ colour: Colour) -> String {
        isOn ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Returns the status of a batch, or a text for it, in the colour of the status.
    func paint(_ status: BatchStatus, _ text: String? = nil) -> String {
        let colour: Colour =
            switch status {
            case .completed: .green
            case .failed: .red
            case .cancelled, .paused: .yellow
            case .processing: .blue
            case .pending: .grey
            }
        return paint(text ?? status.rawValue, colour)
    }
}
