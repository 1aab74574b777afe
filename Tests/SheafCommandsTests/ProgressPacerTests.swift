import Testing

@testable import SheafCommands

@Suite struct ProgressPacerTests {
    private func pacer(isInteractive: Bool) -> ProgressPacer {
        ProgressPacer(renderer: ProgressRenderer(style: Style(isOn: false)), isInteractive: isInteractive)
    }

    @Test("A bar is drawn at most ten times a second") func barIsDrawnAtMostTenTimesASecond() {
        var pacer = pacer(isInteractive: true)
        var drawn = 0
        for millisecond in 0..<1000 {
            let sample = ProgressSample(title: "b", done: millisecond, total: 1000)
            if case .bar = pacer.take(sample, at: .milliseconds(millisecond), width: 80) { drawn += 1 }
        }
        #expect(drawn == 10)
    }

    @Test("A line is written every five seconds if something has changed")
    func linesComeEveryFewSecondsAndOnlyOnChange() {
        var pacer = pacer(isInteractive: false)
        var lines: [Int] = []
        for second in 0..<60 {
            // Nothing changes after half a minute.
            let sample = ProgressSample(title: "b", done: min(second, 30), total: 60)
            if case .line = pacer.take(sample, at: .seconds(second), width: 80) { lines.append(second) }
        }
        #expect(lines == [5, 10, 15, 20, 25, 30])
    }

    @Test("The rate depends on the last seconds only") func rateForgetsWhatIsLongAgo() {
        var meter = RateMeter()
        for second in 0...100 {
            meter.note(second <= 50 ? second * 100 : 5000 + (second - 50) * 10, at: .seconds(second))
        }
        #expect(meter.perSecond == 10)
        #expect(meter.remaining(of: ProgressSample(title: "b", done: 5500, total: 5600)) == .seconds(10))
    }

    @Test("The rate is unknown at first") func rateIsUnknownAtFirst() {
        var meter = RateMeter()
        #expect(meter.perSecond == nil)
        meter.note(5, at: .zero)
        meter.note(6, at: .milliseconds(100))
        #expect(meter.perSecond == nil)
        #expect(meter.remaining(of: ProgressSample(title: "b", done: 6, total: 9)) == nil)
    }
}
