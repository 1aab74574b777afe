import ArgumentParser
import Sheaf
import SheafCore
import SheafSettings

extension SheafCommand {
    /// Runs tasks.
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run tasks: pull them from the broker and run so many at a time.",
            discussion: """
                Runs until it is interrupted, unless an option says otherwise. The first SIGINT (Ctrl-C) or SIGTERM \
                takes no more tasks and gives those that run some time to finish (--grace); what has not finished then, \
                or at the second signal, is ended and goes back to the queue; a third ends the process on the spot. Start as many as you like, on as many machines as you like.

                Examples:
                  sheaf run --until-empty
                  sheaf run -c 16 --flow wordcount
                  sheaf run -n 100 --max-time 10m
                  sheaf run --until-empty --batch last && sheaf results last
                """
        )

        @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Run at most so many tasks.", valueName: "n"))
        var maxTasks: Int?

        @Flag(
            help: """
                Leave when every batch it may run is finished. With --batch the exit code tells how that one ended.
                """
        )
        var untilEmpty = false

        @Option(name: .shortAndLong, help: ArgumentHelp("Run at most so many at once (default: 5).", valueName: "n"))
        var concurrency: Int?

        @Option(help: ArgumentHelp("Run tasks of this flow only; may be repeated.", valueName: "name"))
        var flow: [String] = []

        @Option(help: ArgumentHelp("Run tasks of this batch only; 'last' is the newest one.", valueName: "batch"))
        var batch: String?

        @Option(help: ArgumentHelp("Take no more tasks after this time, such as 90s or 10m.", valueName: "time"))
        var maxTime: TimeSpan?

        @Option(help: ArgumentHelp("Leave when there was nothing to do for this time.", valueName: "time"))
        var idleTimeout: TimeSpan?

        @Option(
            help: ArgumentHelp("How long tasks may go on after the first signal (default: 25s).", valueName: "time")
        )
        var grace: TimeSpan?

        @Option(
            help: ArgumentHelp(
                "How long the broker waits for the end of a task, as it is configured there (default: 30m).",
                valueName: "time"
            )
        )
        var acknowledgementTimeout: TimeSpan?

        @Flag(
            help: """
                Take tasks only while nobody else needs this machine: while the load of others is below half its cores, \
                and nobody has typed anything at its terminals for five minutes.
                """
        )
        var whenIdle = false

        @OptionGroup(title: "Common") var common: CommonOptions

        func validate() throws {
            if let maxTasks, maxTasks < 1 { throw ValidationError("-n must be 1 or more.") }
            if let concurrency, !(1...10_000).contains(concurrency) {
                throw ValidationError("--concurrency must be from 1 to 10000.")
            }
            if let acknowledgementTimeout, acknowledgementTimeout.duration < .seconds(1) {
                throw ValidationError("--acknowledgement-timeout must be 1s or more.")
            }
        }

        func run() async throws {
            let session = try Session(common, concurrency: concurrency)
            let configuration = WorkerConfiguration(
                flows: try session.definitions(named: flow),
                concurrency: session.settings.concurrency,
                maxTasks: maxTasks,
                untilEmpty: untilEmpty,
                maxTime: maxTime?.duration,
                idleTimeout: idleTimeout?.duration,
                grace: grace?.duration ?? WorkerConfiguration.defaultGrace,
                acknowledgementTimeout: acknowledgementTimeout?.duration ?? session.settings.acknowledgementTimeout,
                prompt: TerminalPrompt(session.console)
            )
            let shift = WorkerSession(
                session: session,
                configuration: configuration,
                batch: batch,
                idle: whenIdle ? IdleWatch() : nil
            )
            let verdict = try await shift.run()
            if verdict != .success { throw Diagnosis.silent(verdict) }
        }
    }
}
