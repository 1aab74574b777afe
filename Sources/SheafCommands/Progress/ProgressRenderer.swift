/// Renders progress as one line: with a bar for a terminal, in words for a log.
struct ProgressRenderer: Sendable, Equatable {
    /// The colours for the terminal.
    var style: Style

    private static let barRange = 10...40

    /// The line for a terminal of that width; never wider than one column less, so that it does not wrap.
    func bar(_ sample: ProgressSample, meter: RateMeter, width: Int) -> String {
        let words = facts(sample, meter: meter)
        let plain = ([sample.title] + words.map(\.text)).joined(separator: "  ")
        let limit = max(0, width - 1)
        let room = limit - plain.count - 2
        guard let total = sample.total, room >= Self.barRange.lowerBound else { return String(plain.prefix(limit)) }
        let length = min(room, Self.barRange.upperBound)
        let share = total > 0 ? min(1, Double(sample.done) / Double(total)) : 1
        let filled = Int(share * Double(length))
        let bar =
            style.paint(String(repeating: "━", count: filled), .green)
            + style.paint(String(repeating: "─", count: length - filled), .grey)
        let painted = words.map { $0.isAlarming ? style.paint($0.text, .red) : $0.text }
        return ([sample.title, bar] + painted).joined(separator: "  ")
    }

    /// The line for a log.
    func line(_ sample: ProgressSample, meter: RateMeter) -> String {
        "\(sample.title): " + facts(sample, meter: meter).map(\.text).joined(separator: ", ")
    }

    private struct Fact {
        var text: String
        var isAlarming = false
    }

    private func facts(_ sample: ProgressSample, meter: RateMeter) -> [Fact] {
        var facts: [Fact] = []
        if let total = sample.total {
            facts.append(Fact(text: "\(sample.done)/\(total)"))
            facts.append(Fact(text: Wording.percent(sample.done, of: total)))
        } else {
            facts.append(Fact(text: "\(sample.done)"))
        }
        if sample.running > 0 { facts.append(Fact(text: "\(sample.running) running")) }
        if sample.questions > 0 { facts.append(Fact(text: Wording.count(sample.questions, "open question"))) }
        if let waiting = sample.waiting { facts.append(Fact(text: waiting)) }
        if sample.failed > 0 { facts.append(Fact(text: "\(sample.failed) failed", isAlarming: true)) }
        if let rate = meter.perSecond { facts.append(Fact(text: Wording.rate(rate))) }
        if let remaining = meter.remaining(of: sample), sample.done < sample.total ?? 0 {
            facts.append(Fact(text: "\(Wording.duration(remaining)) left"))
        }
        return facts
    }
}
