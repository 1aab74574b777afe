// `import Sheaf` is all that a program needs: it re-exports the targets below.
@_exported public import SheafBatches
@_exported public import SheafBroker
@_exported public import SheafCore
@_exported public import SheafFlows
@_exported public import SheafSources
@_exported public import SheafWorker
