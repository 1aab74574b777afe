import SheafCore

/// Colours text where that is wanted.
struct Style: Sendable, Equatable {
    /// The colours in use.
    enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case grey = "90"
    }

    /// Whether colour is wanted.
    var isOn: Bool

    /// Colours a text.
    func paint(_ text: String, _ colour: Colour) -> String {
        isOn ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// A batch's status in its colour.
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
