import SheafBatches
import SheafCore

/// How many tasks a worker asks for at a time, and of which batches: pure arithmetic.
struct FetchPlan: Sendable {
    /// The slots of the worker.
    let slots: Int
    /// How many tasks end in a second, which tells how far ahead to fetch; more at once, less by half at a time.
    var rate: Double = 0

    /// How often a worker looks how many tasks have ended, while slots wait although some have ended just now.
    static let look = Duration.milliseconds(10)

    /// The rate that the first early look may double, in tasks a second.
    private static let firstRate = 300.0

    /// How many times what it should be a prefetch may not become.
    static let excess = 4

    /// The most that is fetched ahead of the slots.
    static let maximumLead = 4_000

    /// Tasks to hold beyond the slots: none where tasks are slow, so that none is hoarded while another worker idles.
    var lead: Int {
        let wanted = Int(rate * leadTime)
        return wanted > slots / 2 ? min(Self.maximumLead, wanted) : 0
    }

    /// How much time the tasks fetched ahead are to last, in seconds: 0.05 up to 1,000 tasks a second, 0.2 from 4,000 on.
    ///
    /// Where there are many, outcomes and acknowledgements are gathered, which takes most of the shorter time; and what is hoarded
    /// is gone in a moment.
    private var leadTime: Double { max(0.05, min(0.2, rate * 0.05 / 1_000)) }

    /// The most batches to consume from at a time; with more than that, idle ones make room.
    var maximumSubscriptions: Int { min(8, slots) }

    /// The prefetch of a consumer: those that bring something share the slots, the others get one each.
    func prefetch(isBusy: Bool, busyCount: Int) -> Int {
        guard isBusy else { return 1 }
        let budget = slots + lead
        return max(1, (budget + busyCount - 1) / max(1, busyCount))
    }

    /// Takes over how many tasks ended in a time.
    mutating func note(ended count: Int, in time: Duration) {
        let now = Double(count) / (time / .seconds(1))
        rate = now > rate ? now : (rate + now) / 2
    }

    /// Whether so many tasks have ended that an early look may count them.
    ///
    /// Each slot must have ended several: of long tasks that end together there would seem to be many.
    func areEnough(_ count: Int) -> Bool { count >= max(16, 4 * slots) }

    /// Takes over how many tasks, enough of them, ended in a time that may be short; true where it is worth to fetch further ahead.
    ///
    /// Each time the rate at most doubles, so that little more is fetched than what keeps slots from waiting: tasks often end
    /// many at a time, and consumers that bring too much have to be ended.
    mutating func noteEarly(ended count: Int, in time: Duration) -> Bool {
        let before = lead
        rate = max(rate, min(Double(count) / (time / .seconds(1)), 2 * max(rate, Self.firstRate)))
        return isWorthRaising(from: slots + before, to: slots + lead)
    }

    /// Whether a prefetch is so far below what it should be that it is worth another consumer.
    func isWorthRaising(from old: Int, to new: Int) -> Bool {
        old == 0 || new >= old * 2 || new - old >= Self.maximumLead / 4 || (old < slots && new >= slots)
    }

    /// Whether a prefetch is so far above what it should be that it is worth ending consumers.
    func isWorthLowering(from old: Int, to new: Int) -> Bool { old >= Self.excess * new }

    /// Whether so many deliveries keep the slots busy for more than a second, so that others should have a part of them.
    func lastsLong(_ count: Int) -> Bool { Double(count) > rate }
}
