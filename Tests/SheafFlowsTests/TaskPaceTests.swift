import Testing

@testable import SheafFlows

@Suite struct TaskPaceTests {
    private func pace(_ durations: [Duration]) -> TaskPace {
        durations.reduce(into: TaskPace()) { $0.note($1) }
    }

    @Test("Groups need a minimum number of measured tasks")
    func minimum() {
        #expect(TaskPace().groupSize == 1)
        #expect(pace(Array(repeating: .microseconds(10), count: TaskPace.memory - 1)).groupSize == 1)
    }

    @Test(
        "A group has as many tasks as fit into the patience",
        arguments: [
            (.zero, 256), (.microseconds(50), 256), (.microseconds(100), 199), (.milliseconds(1), 19),
            (.milliseconds(2), 9),
            (.milliseconds(10), 1), (.milliseconds(19), 1), (.seconds(60), 1),
        ] as [(Duration, Int)]
    )
    func fittingTasks(duration: Duration, size: Int) {
        #expect(pace(Array(repeating: duration, count: TaskPace.memory)).groupSize == size)
    }

    @Test("The longest task counts as well as the mean")
    func longestTask() {
        let short = Array(repeating: Duration.microseconds(100), count: 100)
        #expect(pace(short + [.milliseconds(17)]).groupSize == 11)
        #expect(pace(short + [.seconds(1)]).groupSize == 1)
    }

    @Test("Old measurements are forgotten")
    func forgets() {
        var pace = pace([.seconds(1)])
        var alone = 0
        while pace.groupSize == 1, alone < 1_000 {
            pace.note(.microseconds(100))
            alone += 1
        }
        #expect(alone == 2 * TaskPace.memory - 1)
        pace.reset()
        #expect(pace.groupSize == 1)
    }
}
