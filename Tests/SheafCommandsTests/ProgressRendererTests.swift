import SheafCore
import Testing

@testable import SheafCommands

@Suite struct ProgressRendererTests {
    private let renderer = ProgressRenderer(style: Style(isOn: false))

    private func meter(perSecond: Int) -> RateMeter {
        var meter = RateMeter()
        meter.note(0, at: .zero)
        meter.note(perSecond * 10, at: .seconds(10))
        return meter
    }

    @Test("A bar has count, rate, failures and time left") func barHasCountRateFailuresAndTimeLeft() {
        let sample = ProgressSample(title: "b1", done: 500, total: 1000, failed: 3, running: 2)
        let line = renderer.bar(sample, meter: meter(perSecond: 50), width: 120)
        #expect(line.contains("500/1000"))
        #expect(line.contains("50%"))
        #expect(line.contains("50/s"))
        #expect(line.contains("3 failed"))
        #expect(line.contains("2 running"))
        #expect(line.contains("10 s left"))
        #expect(line.contains("━━━━━"))
    }

    @Test("Open questions are counted", arguments: [(0, nil), (1, "1 open question"), (12, "12 open questions")])
    func openQuestionsAreCounted(count: Int, words: String?) {
        let sample = ProgressSample(title: "b1", done: 5, total: 10, questions: count)
        let lines = [renderer.bar(sample, meter: RateMeter(), width: 120), renderer.line(sample, meter: RateMeter())]
        for line in lines { #expect(words.map(line.contains) ?? !line.contains("question"), "\(line)") }
    }

    @Test("A bar never wraps", arguments: 1...160) func barNeverWraps(width: Int) {
        let sample = ProgressSample(title: "a-rather-long-batch-id", done: 999_999, total: 10_000_000, failed: 12)
        #expect(renderer.bar(sample, meter: meter(perSecond: 1234), width: width).count < max(width, 1))
    }

    @Test("A bar is filled in proportion") func barIsFilledInProportion() {
        for (done, share) in [(0, 0.0), (25, 0.25), (100, 1.0)] {
            let line = renderer.bar(ProgressSample(title: "b", done: done, total: 100), meter: RateMeter(), width: 200)
            let filled = line.count { $0 == "━" }
            let empty = line.count { $0 == "─" }
            #expect(filled == Int(share * Double(filled + empty)))
        }
    }

    @Test("Without a total there is no bar") func unknownTotalHasNoBar() {
        let line = renderer.bar(ProgressSample(title: "running", done: 7), meter: RateMeter(), width: 80)
        #expect(line == "running  7")
    }

    @Test("A total of 0 is complete") func emptyTotalIsComplete() {
        let line = renderer.line(ProgressSample(title: "b", done: 0, total: 0), meter: RateMeter())
        #expect(line == "b: 0/0, 100%")
    }

    @Test("Colours are used only if they are on") func colourIsOnlyThereWhenOn() {
        let sample = ProgressSample(title: "b", done: 1, total: 2, failed: 1)
        let painted = ProgressRenderer(style: Style(isOn: true)).bar(sample, meter: RateMeter(), width: 80)
        #expect(painted.contains("\u{1B}["))
        #expect(!renderer.bar(sample, meter: RateMeter(), width: 80).contains("\u{1B}"))
        #expect(!ProgressRenderer(style: Style(isOn: true)).line(sample, meter: RateMeter()).contains("\u{1B}"))
    }

    @Test("100 % is shown only at the end") func percentSaysHundredOnlyAtTheEnd() {
        #expect(Wording.percent(9999, of: 10000) == "99%")
        #expect(Wording.percent(10000, of: 10000) == "100%")
    }
}
