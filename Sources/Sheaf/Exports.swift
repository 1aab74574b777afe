// Whoever imports Sheaf gets the words its interface is made of.
@_exported public import SheafBroker
@_exported public import SheafCore
@_exported public import SheafFlows
@_exported public import SheafSources
