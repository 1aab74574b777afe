import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Checks the set-up.
    struct Doctor: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the set-up (configuration, broker, limits) and print what to fix.",
            usage: "sheaf doctor [<options>]",
            discussion: """
                The exit code is 0, or that of the first check that fails.

                Examples:
                  sheaf doctor
                  sheaf doctor --broker amqp://guest:guest@localhost/ --json
                """
        )

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func run() async throws {
            let checks = try await SignalWatch.interruptible { [common] in await Examination(common).checks() }
            let console = Console(common)
            if json.isOn {
                let isWell = !checks.contains { $0.level == .fail }
                let value: JSONValue = [
                    "ok": .bool(isWell), "version": .string(SheafVersion.current), "checks": .array(checks.map(\.json)),
                ]
                try console.print(value.text)
            } else {
                let style = Style(isOn: console.output.hasColour)
                for line in checks.flatMap({ $0.lines(style: style) }) { try console.print(styled: line) }
            }
            if let failure = checks.first(where: { $0.level == .fail }) { throw Diagnosis.silent(failure.status) }
        }
    }

    /// Lists the exit codes.
    struct ExitCodes: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "exit-codes",
            abstract: "List the exit codes.",
            discussion: """
                Scripts can rely on these:

                \(ExitReason.table)

                'create --wait', 'watch', 'wait' and 'run --until-empty --batch' wait for a batch. A worker that is \
                interrupted exits with 130 or 143, even if it finished every task that it had begun; 'run \
                --exit-zero-after-drain' exits with 0 in that case after SIGTERM. If the reader of a pipe exits early \
                ('sheaf results last | head'), the code is 0.

                Example:
                  sheaf wait last || sheaf exit-codes
                """
        )

        func run() async throws {
            try Console(isQuiet: false, environment: [:]).print(styled: ExitReason.table)
        }
    }
}
