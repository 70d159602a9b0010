/** What is loaded when it is first needed: a bundle of its own. */
export { Edits } from './edit';
