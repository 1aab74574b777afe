import ArgumentParser

/// The option of commands whose data can be JSON.
struct JSONOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print one JSON value on standard output.")
    var isOn = false
}
