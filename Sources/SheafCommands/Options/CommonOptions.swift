import ArgumentParser
import Logging
import SheafSettings

/// The options that every command has.
struct CommonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The configuration file; default: sheaf.yaml here or in a folder above.", valueName: "file")
    )
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The broker: amqp://user:password@host:port/vhost, amqps://…, embedded, or embedded:FOLDER.",
            valueName: "url"
        )
    )
    var broker: String?

    @Option(help: ArgumentHelp("The prefix of all names on the broker (default: sheaf).", valueName: "name"))
    var namespace: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Override a key of the configuration; may be repeated.", valueName: "key.path=value")
    )
    var overrides: [String] = []

    @Option(help: "The least severe messages to log on standard error.")
    var logLevel: Logger.Level = .warning

    @Flag(name: .shortAndLong, help: "Print only errors on standard error.")
    var quiet = false

    /// Returns the values that override the environment and the file.
    func overrides(concurrency: Int?) -> SettingsOverrides {
        SettingsOverrides(
            config: config,
            broker: broker,
            namespace: namespace,
            concurrency: concurrency,
            set: overrides
        )
    }
}

/// The option of commands that can print JSON.
struct JSONOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print one JSON value on standard output.")
    var isOn = false
}
