public import ArgumentParser
public import Logging
public import SheafCore
public import SheafSources

// Words of other modules that options take as they are; each is an enumeration of the texts allowed.

extension Logger.Level: @retroactive ExpressibleByArgument {}

extension SourceFormat: ExpressibleByArgument {}

extension BatchStatus: ExpressibleByArgument {}

extension Outcome.Status: ExpressibleByArgument {}
